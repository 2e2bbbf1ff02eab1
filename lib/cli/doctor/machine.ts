/** What this machine is, as far as the engine is concerned. Facts only; `doctor` judges them. */
import { existsSync, readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import type { NativeEngineInfo } from '../../native/contract.js'
import { type Libtorch, librariesOf } from '../../libtorch/find.js'
import { LOAD_FIX, libtorchFor, type NativeFiles, nativeFiles } from '../../native/loader.js'
import { packageRoot } from '../../base/package-root.js'
import { tryInChild } from '../../libtorch/trial.js'

/** A number type, and whether the device has instructions for it. */
export type DtypeSupport = Record<'float32' | 'bfloat16' | 'float16', 'fast' | 'slow'>

export interface Gpu {
  name: string
  /** Bytes. */
  memory: number
  /** Compute capability, such as `9.0`. */
  capability: string
  dtypes: DtypeSupport
}

export interface GpuFacts {
  /** Version of the kernel's driver, such as `560.35.05`; null without one. */
  driver: string | null
  /** Newest CUDA that the driver serves, such as `12.6`; null without a driver. */
  cuda: string | null
  devices: Gpu[]
}

/** `kernels`: for each GPU why the engine's own kernels are not used there, or an empty text. */
export type OpenedEngine = NativeEngineInfo & { kernels: Record<string, string> }

/** Everything that a bug report needs. Where something is missing there is the error that says so. */
export interface Machine {
  version: string
  node: { version: string; napi: string }
  /** `glibc`: null on a system with another C library. */
  system: { platform: string; arch: string; kernel: string; glibc: string | null }
  cpu: { model: string; threads: number; memory: number; dtypes: DtypeSupport }
  engine: { path: string; torch: string; glibc?: string; glibcxx?: string } | { error: unknown }
  libtorch: { folder: string; version: string; cuda: string | null } | { error: unknown }
  /** What the opened engine says; null where there is nothing to open. */
  opened: OpenedEngine | { error: unknown } | null
  gpu: GpuFacts
}

/** From compute capability 7.0 tensor cores take float16, from 8.0 bfloat16; older GPUs emulate bfloat16. */
export function dtypesOf(capability: string): DtypeSupport {
  const version = Number.parseFloat(capability)
  return {
    float32: 'fast',
    bfloat16: version >= 8 ? 'fast' : 'slow',
    float16: version >= 7 ? 'fast' : 'slow',
  }
}

function cpuDtypes(): DtypeSupport {
  const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : ''
  const has = (flag: string) => new RegExp(`\\b${flag}\\b`).test(flags)
  return {
    float32: 'fast',
    bfloat16: has('avx512_bf16') || has('amx_bf16') ? 'fast' : 'slow',
    float16: has('avx512_fp16') || has('amx_fp16') ? 'fast' : 'slow',
  }
}

function glibc(): string | null {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean }
  report.excludeNetwork = true // else it asks the network about the names of open connections
  const { header } = report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime ?? null
}

export function gpuFacts({ loader }: NativeFiles): GpuFacts {
  const { driver: cuda, devices } = loader.probeGpu()
  const file = '/sys/module/nvidia/version'
  return {
    driver: existsSync(file) ? readFileSync(file, 'utf8').trim() : null,
    cuda,
    devices: devices.map((device) => ({ ...device, dtypes: dtypesOf(device.capability) })),
  }
}

/** `12.6` for a LibTorch built for CUDA 12.6, null for the CPU. */
function cudaOf({ folder, version }: Libtorch): string | null {
  const flavour = /\+cu(\d+)(\d)$/.exec(version)
  if (flavour) return `${flavour[1]}.${flavour[2]}`
  const file = join(folder, 'version.py')
  const said = existsSync(file) && /^cuda\b[^=]*=\s*'([\d.]+)'/m.exec(readFileSync(file, 'utf8'))?.[1]
  return said || null
}

function attempt<T>(get: () => T): T | { error: unknown } {
  try {
    return get()
  } catch (error) {
    return { error }
  }
}

export const failed = (value: unknown): value is { error: unknown } =>
  typeof value === 'object' && value !== null && 'error' in value

async function tryOut(files: NativeFiles, libtorch: Libtorch): Promise<Machine['opened']> {
  const { loaderPath: loader, enginePath: engine } = files
  try {
    const trial = { loader, engine, libraries: librariesOf(libtorch), kernels: true }
    return (await tryInChild(trial, LOAD_FIX)) as OpenedEngine
  } catch (error) {
    return { error }
  }
}

export async function lookAtMachine(): Promise<Machine> {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }
  const files = attempt(nativeFiles)
  const libtorch = failed(files) ? files : attempt(() => libtorchFor(files))
  const { manifest, enginePath: path } = failed(files) ? {} : files
  return {
    version,
    node: { version: process.versions.node, napi: process.versions.napi ?? '' },
    system: { platform: process.platform, arch: arch(), kernel: release(), glibc: glibc() },
    cpu: {
      model: cpus()[0]?.model ?? '',
      threads: availableParallelism(),
      memory: totalmem(),
      dtypes: cpuDtypes(),
    },
    engine: failed(files)
      ? files
      : { path: path!, torch: manifest!.torch, glibc: manifest!.glibc, glibcxx: manifest!.glibcxx },
    libtorch: failed(libtorch)
      ? libtorch
      : { folder: libtorch.folder, version: libtorch.version, cuda: cudaOf(libtorch) },
    opened: failed(files) || failed(libtorch) ? null : await tryOut(files, libtorch),
    gpu: failed(files) ? { driver: null, cuda: null, devices: [] } : gpuFacts(files),
  }
}

/** JSON for a bug report: errors by code and message, and the user's home folder as `~`. */
export function toReport(value: unknown, home: string): string {
  const text = JSON.stringify(
    value,
    (_key, one: unknown) =>
      one instanceof Error ? { code: 'code' in one ? one.code : undefined, message: one.message } : one,
    2,
  )
  return home.length > 1 ? text.replaceAll(home, '~') : text
}
