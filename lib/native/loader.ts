/** Opens LibTorch, then the engine, once in every thread of the process. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fromNativeError, Sam3EnvironmentError, Sam3InputError } from '../errors.js'
import type { NativeEngine, NativeLoader } from './addon.js'
import { findLibtorch, type Libtorch } from './libtorch.js'
import { packageRoot } from './package-root.js'

/** What is written beside the engine when it is built. */
interface EngineManifest {
  /** LibTorch version that the engine was compiled against. */
  torch: string
  /** Folder of that LibTorch, where the build recorded it. */
  libtorch?: string
}

/** node-gyp-build: finds the built or prebuilt addon of a package. */
type NodeGypBuild = ((folder: string) => unknown) & { resolve(folder: string): string }

const require = createRequire(import.meta.url)

interface OpenEngine {
  engine: NativeEngine
  libtorch: Libtorch
}

let opened: OpenEngine | undefined

function notBuilt(detail: string, cause?: unknown): Sam3EnvironmentError {
  return new Sam3EnvironmentError('ERR_ENGINE_NOT_BUILT', `The native engine is not built: ${detail}.`, {
    cause,
    fix: 'Run npm run setup in the folder of sam3-node (needs a C++20 compiler and CMake >= 3.25).',
  })
}

function readManifest(folder: string): EngineManifest {
  const path = join(folder, 'sam3_engine.json')
  if (!existsSync(path)) throw notBuilt(`there is no ${path}`)
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as Partial<EngineManifest>
  if (!manifest.torch) throw notBuilt(`${path} does not say for which LibTorch it is`)
  return { ...manifest, torch: manifest.torch }
}

/** Finds the built loader and gives it and the folder it lies in, where the engine lies as well. */
function openLoader(): { loader: NativeLoader; folder: string } {
  const nodeGypBuild = require('node-gyp-build') as NodeGypBuild
  try {
    const folder = dirname(nodeGypBuild.resolve(packageRoot()))
    return { loader: nodeGypBuild(packageRoot()) as NativeLoader, folder }
  } catch (cause) {
    throw notBuilt(`no loader for ${process.platform}-${process.arch} in ${packageRoot()}`, cause)
  }
}

function open(libtorchOption: string | undefined): OpenEngine {
  const { loader, folder } = openLoader()
  const manifest = readManifest(folder)
  const enginePath = join(folder, 'libsam3_engine.so')
  if (!existsSync(enginePath)) throw notBuilt(`there is no ${enginePath}`)
  const libtorch = findLibtorch({
    explicit: libtorchOption,
    recorded: manifest.libtorch,
    required: manifest.torch,
    packageRoot: packageRoot(),
  })

  const module: { exports: Partial<NativeEngine> } = { exports: {} }
  try {
    loader.open(libtorch.library)
    const cuda = join(dirname(libtorch.library), 'libtorch_cuda.so')
    if (existsSync(cuda)) loader.open(cuda)
    process.dlopen(module, enginePath, constants.dlopen.RTLD_NOW)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_LIBTORCH_LOAD') throw fromNativeError(error)
    throw new Sam3EnvironmentError(
      'ERR_LIBTORCH_LOAD',
      `The engine cannot be opened with LibTorch ${libtorch.version} in ${libtorch.folder}: ${error instanceof Error ? error.message : String(error)}.`,
      { cause: error, fix: 'Rebuild the engine on this machine with npm run build:native.' },
    )
  }
  const engine = module.exports as NativeEngine
  // LibTorch's statics die at process exit: a step that is still running would then crash.
  process.once('exit', () => engine.stop())
  return { engine, libtorch }
}

/**
 * The engine of this thread, opened on first use.
 * @param libtorch Folder of LibTorch; found by itself when left out.
 * @throws Sam3EnvironmentError `ERR_ENGINE_NOT_BUILT`, `ERR_LIBTORCH_NOT_FOUND`, `ERR_LIBTORCH_VERSION`, `ERR_LIBTORCH_LOAD`
 */
export function loadEngine(libtorch?: string): NativeEngine {
  opened ??= open(libtorch)
  if (libtorch !== undefined && findsAnother(libtorch, opened.libtorch)) {
    throw new Sam3InputError(
      'ERR_INVALID_ARGUMENT',
      `LibTorch is already open from ${opened.libtorch.folder}; a process can hold only one.`,
      { fix: 'Pass the same libtorch option to every model, or leave it out.' },
    )
  }
  return opened.engine
}

function findsAnother(option: string, { folder, version }: Libtorch): boolean {
  return findLibtorch({ explicit: option, required: version, packageRoot: packageRoot() }).folder !== folder
}
