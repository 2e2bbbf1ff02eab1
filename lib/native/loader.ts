/** Opens LibTorch, then the engine, once in every thread of the process. */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fromNativeError, Sam3EnvironmentError, Sam3InputError } from '../base/errors.js'
import { obstacle } from '../libtorch/flavour.js'
import type { NativeEngine, NativeLoader } from './contract.js'
import { checkLibtorch, findLibtorch, INSTALL_COMMAND, type Libtorch, librariesOf } from '../libtorch/find.js'
import { mappedLibtorch } from './mapped.js'
import { packageRequire, packageRoot } from '../base/package-root.js'
import { tryOnce } from '../libtorch/trial.js'

/** What is written beside the engine when it is built. */
export interface EngineManifest {
  /** LibTorch version that the engine was compiled against. */
  torch: string
  /** Folder of that LibTorch, where the build recorded it. */
  libtorch?: string
  /** Oldest glibc and libstdc++ that a prebuilt engine runs with, such as `2.28` and `3.4.22`. */
  glibc?: string
  glibcxx?: string
}

/** The native files of this package, before LibTorch is looked for. */
export interface NativeFiles {
  loader: NativeLoader
  loaderPath: string
  enginePath: string
  manifest: EngineManifest
}

/** node-gyp-build: finds the built or prebuilt addon of a package. */
type NodeGypBuild = ((folder: string) => unknown) & { resolve(folder: string): string }

interface OpenEngine {
  engine: NativeEngine
  libtorch: Libtorch
}

let opened: OpenEngine | undefined
/** Shared by calls that come while it is being opened. */
let opening: Promise<OpenEngine> | undefined

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

/**
 * Finds the built or prebuilt loader and engine, and opens the loader, which needs no LibTorch.
 * @throws Sam3EnvironmentError `ERR_ENGINE_NOT_BUILT`
 */
export function nativeFiles(): NativeFiles {
  const nodeGypBuild = packageRequire()('node-gyp-build') as NodeGypBuild
  let loader: NativeLoader
  let loaderPath: string
  try {
    loaderPath = nodeGypBuild.resolve(packageRoot())
    loader = nodeGypBuild(packageRoot()) as NativeLoader
  } catch (cause) {
    throw notBuilt(`no loader for ${process.platform}-${process.arch} in ${packageRoot()}`, cause)
  }
  const folder = dirname(loaderPath)
  const manifest = readManifest(folder)
  const enginePath = join(folder, 'libsam3_engine.so')
  if (!existsSync(enginePath)) throw notBuilt(`there is no ${enginePath}`)
  return { loader, loaderPath, enginePath, manifest }
}

/**
 * The LibTorch that this process uses, or would use. One that is open already is taken, as a second one in the process
 * would share names with it and crash: it may have been opened by another copy of this library, or in another thread.
 * @throws as {@link findLibtorch}; Sam3InputError `ERR_INVALID_ARGUMENT` when `explicit` is not the one that is open
 */
export function libtorchFor({ loader, manifest }: NativeFiles, explicit?: string): Libtorch {
  const { libtorch: recorded, torch: required } = manifest
  const cuda = () => obstacle(loader.probeGpu()) === undefined
  const find = () => findLibtorch({ explicit, recorded, required, packageRoot: packageRoot(), cuda })
  const open = mappedLibtorch()
  if (open === undefined) return find()
  let found: Libtorch | undefined
  try {
    found = find()
  } catch (error) {
    if (explicit !== undefined) throw error
  }
  if (found && realpathSync(found.library) === open) return found
  const folder = dirname(dirname(open))
  if (explicit !== undefined) throw alreadyOpen(folder)
  return checkLibtorch(folder, 'The LibTorch that this process has open', required)
}

function alreadyOpen(folder: string): Sam3InputError {
  return new Sam3InputError(
    'ERR_INVALID_ARGUMENT',
    `LibTorch is already open from ${folder}; a process can hold only one.`,
    { fix: 'Pass the same libtorch option to every model, or leave it out.' },
  )
}

/** What to do when the engine and a LibTorch of its version do not work together. */
export const LOAD_FIX = `Install a LibTorch made for this system with ${INSTALL_COMMAND}, or point LIBTORCH at another; sam3-node doctor says what this system lacks.`

function open({ loader, enginePath }: NativeFiles, libtorch: Libtorch): OpenEngine {
  const module: { exports: Partial<NativeEngine> } = { exports: {} }
  try {
    for (const library of librariesOf(libtorch)) loader.open(library)
    process.dlopen(module, enginePath, constants.dlopen.RTLD_NOW)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_LIBTORCH_LOAD') throw fromNativeError(error)
    throw new Sam3EnvironmentError(
      'ERR_LIBTORCH_LOAD',
      `The engine cannot be opened with LibTorch ${libtorch.version} in ${libtorch.folder}: ${error instanceof Error ? error.message : String(error)}.`,
      { cause: error, fix: LOAD_FIX },
    )
  }
  const engine = module.exports as NativeEngine
  // LibTorch's statics die at process exit: a step that is still running would then crash.
  process.once('exit', () => engine.stop())
  return { engine, libtorch }
}

async function openSafely(explicit: string | undefined): Promise<OpenEngine> {
  const files = nativeFiles()
  const libtorch = libtorchFor(files, explicit)
  const { libtorch: built } = files.manifest
  const recorded = built !== undefined && existsSync(built) ? realpathSync(built) : undefined
  // The very LibTorch that the engine was built against on this machine needs no trial.
  if (libtorch.folder !== recorded) {
    const { loaderPath: loader, enginePath: engine } = files
    await tryOnce({ loader, engine, libraries: librariesOf(libtorch) }, LOAD_FIX)
  }
  return open(files, libtorch)
}

/**
 * The engine of this thread, opened on first use.
 * @param libtorch Folder of LibTorch; found by itself when left out.
 * @throws Sam3EnvironmentError `ERR_ENGINE_NOT_BUILT`, `ERR_LIBTORCH_NOT_FOUND`, `ERR_LIBTORCH_VERSION`, `ERR_LIBTORCH_LOAD`
 */
export async function loadEngine(libtorch?: string): Promise<NativeEngine> {
  if (!opened) {
    opening ??= openSafely(libtorch)
    try {
      opened = await opening
    } finally {
      opening = undefined // what failed may be mended
    }
  }
  if (libtorch !== undefined && findsAnother(libtorch, opened.libtorch)) throw alreadyOpen(opened.libtorch.folder)
  return opened.engine
}

function findsAnother(option: string, { folder, version }: Libtorch): boolean {
  return findLibtorch({ explicit: option, required: version, packageRoot: packageRoot() }).folder !== folder
}
