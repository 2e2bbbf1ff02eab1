/**
 * Finds LibTorch, which is not part of the npm package (it is hundreds of megabytes, and many machines have one in
 * a Python environment already). The version is read from its files and compared before anything is opened: LibTorch's
 * C++ ABI changes between versions, so opening the wrong one could crash the process.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { Sam3EnvironmentError } from '../base/errors.js'
import { expandPath } from '../base/expand.js'
import { listStore, storeFolder } from './store.js'
import { shortened } from '../base/shown.js'

/** A LibTorch on disk. */
export interface Libtorch {
  /** The folder with `lib/` (an unpacked LibTorch, or a Python package `torch`). */
  folder: string
  /** Absolute path of `libtorch.so`. */
  library: string
  /** Such as `2.13.0+cpu`. */
  version: string
}

/** Where to look, and what for. */
export interface LibtorchQuery {
  /** The caller's own choice: nothing else is tried when it is set. */
  explicit?: string | undefined
  /** Folder of LibTorch at build time, where the build recorded one. */
  recorded?: string | undefined
  /** Version that the engine was built against, such as `2.13.0`. */
  required: string
  packageRoot: string
  /** Default: `process.env`. */
  env?: NodeJS.ProcessEnv
  /** The interpreter that is asked for its torch. Default: `python3`. */
  python?: string
  /** Whether there is a GPU for CUDA; asked only where both flavours are installed. Default: there is none. */
  cuda?: () => boolean
}

/** The command that everybody without LibTorch is told. */
export const INSTALL_COMMAND = 'npx sam3-node libtorch install'

const LIBRARY = 'libtorch.so'
const PYTHON_QUESTION =
  "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"

/**
 * The folder that holds `lib/libtorch.so`, given it, its `lib`, or an environment's `site-packages`. Without links on its
 * way: a LibTorch for CUDA looks for its companions beside the path by which it was opened.
 */
function normalise(path: string): string | undefined {
  const folder = resolve(path)
  for (const candidate of [folder, join(folder, 'libtorch'), join(folder, 'torch')]) {
    if (existsSync(join(candidate, 'lib', LIBRARY))) return realpathSync(candidate)
  }
  if (basename(folder) === 'lib' && existsSync(join(folder, LIBRARY))) return realpathSync(dirname(folder))
  return undefined
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

/** Version by what the folder says: a Python package, an unpacked LibTorch, or its headers. */
export function libtorchVersion(folder: string): string | undefined {
  const python = /^__version__\s*(?::[^=]*)?=\s*['"]([^'"]+)['"]/m.exec(readIfThere(join(folder, 'version.py')) ?? '')
  if (python) return python[1]
  const build = readIfThere(join(folder, 'build-version'))?.trim()
  if (build) return build
  for (const header of ['include/torch/headeronly/version.h', 'include/torch/csrc/api/include/torch/version.h']) {
    const text = readIfThere(join(folder, header)) ?? ''
    const parts = ['MAJOR', 'MINOR', 'PATCH'].map(
      (name) => new RegExp(`#define TORCH_VERSION_${name} (\\d+)`).exec(text)?.[1],
    )
    if (parts.every((part) => part !== undefined)) return parts.join('.')
  }
  return undefined
}

/** The `torch` packages inside a Python environment's folder. */
function inEnvironment(folder: string): string[] {
  const lib = join(folder, 'lib')
  if (!existsSync(lib)) return []
  return readdirSync(lib)
    .filter((name) => name.startsWith('python3'))
    .map((name) => join(lib, name, 'site-packages', 'torch'))
}

/** The torch folder of a Python interpreter, without importing it. */
export function torchOfPython(python: string): string[] {
  try {
    const options = { encoding: 'utf8' as const, timeout: 10_000, stdio: 'pipe' as const }
    const folder = execFileSync(python, ['-c', PYTHON_QUESTION], options).trim()
    return folder ? [folder] : []
  } catch {
    return [] // no Python, or a broken one: the next place may do
  }
}

/** What `sam3-node libtorch install` has brought, the flavour that suits the machine first. */
function installed({ required, env = process.env, cuda }: LibtorchQuery): string[] {
  const fitting = listStore(storeFolder(env)).filter(({ version }) => sameVersion(version, required))
  if (fitting.length < 2) return fitting.map(({ folder }) => folder)
  const wanted = cuda?.() === true
  return fitting
    .sort((one, other) => Number((other.flavour !== 'cpu') === wanted) - Number((one.flavour !== 'cpu') === wanted))
    .map(({ folder }) => folder)
}

/** Places by falling preference. Lazy, because asking Python costs a tenth of a second. */
function* places(query: LibtorchQuery): Generator<[source: string, folder: string]> {
  const { recorded, packageRoot, env = process.env, python = 'python3' } = query
  if (recorded) yield ['the folder it was built with', recorded]
  for (const folder of inEnvironment(join(packageRoot, '.venv'))) yield ["the package's .venv", folder]
  for (const folder of installed(query)) yield ['installed', folder]
  for (const variable of ['VIRTUAL_ENV', 'CONDA_PREFIX']) {
    const active = env[variable]
    if (active) for (const folder of inEnvironment(active)) yield [variable, folder]
  }
  for (const folder of torchOfPython(python)) yield [python, folder]
}

function sameVersion(version: string, required: string): boolean {
  // "+cpu", "+cu126": flavours of one version share its ABI.
  return version.split('+')[0] === required.split('+')[0]
}

function wrongVersion(found: string, required: string): Sam3EnvironmentError {
  return new Sam3EnvironmentError(
    'ERR_LIBTORCH_VERSION',
    `The native engine was built for LibTorch ${required}, but ${found}.`,
    { fix: `Run ${INSTALL_COMMAND}, or point LIBTORCH at version ${required}.` },
  )
}

/** @throws Sam3EnvironmentError unless `path` is a LibTorch of the required version */
export function checkLibtorch(path: string, name: string, required: string): Libtorch {
  const folder = normalise(path)
  if (!folder) {
    throw new Sam3EnvironmentError(
      'ERR_LIBTORCH_NOT_FOUND',
      `${name} is ${shortened(path)}, but there is no lib/${LIBRARY} in it.`,
      {
        fix: 'Set it to an unpacked LibTorch, or to the torch folder of a Python environment (python3 -c "import torch; print(torch.__path__[0])").',
      },
    )
  }
  const version = libtorchVersion(folder)
  if (version === undefined)
    throw wrongVersion(`${folder} does not say which version it is (no version.py, build-version or headers)`, required)
  if (!sameVersion(version, required)) throw wrongVersion(`${folder} (${name}) is ${version}`, required)
  return { folder, library: join(folder, 'lib', LIBRARY), version }
}

/** What has to be opened, in this order, for the engine to find everything that it is linked against. */
export function librariesOf({ library }: Pick<Libtorch, 'library'>): string[] {
  const cuda = join(dirname(library), 'libtorch_cuda.so')
  return existsSync(cuda) ? [library, cuda] : [library]
}

/**
 * Finds a LibTorch of the required version: the caller's choice, `LIBTORCH`, what the build recorded, the package's
 * `.venv`, what `sam3-node libtorch install` has brought, the active Python environment, `python3`.
 * @throws Sam3EnvironmentError `ERR_LIBTORCH_NOT_FOUND` or `ERR_LIBTORCH_VERSION`
 */
export function findLibtorch(query: LibtorchQuery): Libtorch {
  const { explicit, required, env = process.env } = query
  if (explicit !== undefined) return checkLibtorch(explicit, 'The option libtorch', required)
  if (env.LIBTORCH) return checkLibtorch(expandPath(env.LIBTORCH, env), 'LIBTORCH', required)

  const others: string[] = []
  const tried: string[] = []
  for (const [source, path] of places(query)) {
    const folder = normalise(path)
    const version = folder && libtorchVersion(folder)
    if (!folder || !version) {
      tried.push(`${source} (${path})`)
      continue
    }
    if (sameVersion(version, required)) return { folder, library: join(folder, 'lib', LIBRARY), version }
    others.push(`${source} has ${version} (${folder})`)
  }
  if (others.length > 0) throw wrongVersion(`only other versions were found: ${others.join('; ')}`, required)
  throw new Sam3EnvironmentError(
    'ERR_LIBTORCH_NOT_FOUND',
    `LibTorch ${required} was not found. Looked in: LIBTORCH (not set), ${[...tried, storeFolder(env), 'Python environments'].join(', ')}.`,
    { fix: `Run ${INSTALL_COMMAND}, or set LIBTORCH to the folder of an unpacked LibTorch ${required}.` },
  )
}
