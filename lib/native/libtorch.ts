/**
 * Finds LibTorch, which is not part of the npm package (it is hundreds of megabytes, and many machines have one in
 * a Python environment already). The version is read from its files and compared before anything is opened: LibTorch's
 * C++ ABI changes between versions, so opening the wrong one could crash the process.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { Sam3EnvironmentError } from '../errors.js'

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
}

const LIBRARY = 'libtorch.so'
const PYTHON_QUESTION =
  "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"

/** The folder that holds `lib/libtorch.so`, given it, its `lib`, or an environment's `site-packages`. */
function normalise(path: string): string | undefined {
  const folder = resolve(path)
  for (const candidate of [folder, join(folder, 'libtorch'), join(folder, 'torch')]) {
    if (existsSync(join(candidate, 'lib', LIBRARY))) return candidate
  }
  if (basename(folder) === 'lib' && existsSync(join(folder, LIBRARY))) return dirname(folder)
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

function ofPython(python: string): string[] {
  try {
    const options = { encoding: 'utf8' as const, timeout: 10_000, stdio: 'pipe' as const }
    const folder = execFileSync(python, ['-c', PYTHON_QUESTION], options).trim()
    return folder ? [folder] : []
  } catch {
    return [] // no Python, or a broken one: the next place may do
  }
}

/** Places by falling preference. Lazy, because asking Python costs a tenth of a second. */
function* places(query: LibtorchQuery): Generator<[source: string, folder: string]> {
  const { recorded, packageRoot, env = process.env, python = 'python3' } = query
  if (recorded) yield ['the folder it was built with', recorded]
  for (const folder of inEnvironment(join(packageRoot, '.venv'))) yield ["the package's .venv", folder]
  for (const variable of ['VIRTUAL_ENV', 'CONDA_PREFIX']) {
    const active = env[variable]
    if (active) for (const folder of inEnvironment(active)) yield [variable, folder]
  }
  for (const folder of ofPython(python)) yield [python, folder]
  const cache = join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'sam3-node', 'libtorch')
  if (existsSync(cache)) for (const name of readdirSync(cache).sort().reverse()) yield ['the cache', join(cache, name)]
}

function sameVersion(version: string, required: string): boolean {
  // "+cpu", "+cu126": flavours of one version share its ABI.
  return version.split('+')[0] === required.split('+')[0]
}

function wrongVersion(found: string, required: string): Sam3EnvironmentError {
  return new Sam3EnvironmentError(
    'ERR_LIBTORCH_VERSION',
    `The native engine was built for LibTorch ${required}, but ${found}.`,
    {
      fix: `Install that version (pip install torch==${required}), point LIBTORCH at it, or rebuild the engine with npm run build:native.`,
    },
  )
}

function checkExplicit(path: string, name: string, required: string): Libtorch {
  const folder = normalise(path)
  if (!folder) {
    throw new Sam3EnvironmentError(
      'ERR_LIBTORCH_NOT_FOUND',
      `${name} is ${path}, but there is no lib/${LIBRARY} in it.`,
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

/**
 * Finds a LibTorch of the required version: the caller's choice, `LIBTORCH`, what the build recorded, the package's
 * `.venv`, the active Python environment, `python3`, the cache.
 * @throws Sam3EnvironmentError `ERR_LIBTORCH_NOT_FOUND` or `ERR_LIBTORCH_VERSION`
 */
export function findLibtorch(query: LibtorchQuery): Libtorch {
  const { explicit, required, env = process.env } = query
  if (explicit !== undefined) return checkExplicit(explicit, 'The option libtorch', required)
  if (env.LIBTORCH) return checkExplicit(env.LIBTORCH, 'LIBTORCH', required)

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
    `LibTorch ${required} was not found. Looked in: LIBTORCH (not set), ${[...tried, 'python3, the cache'].join(', ')}.`,
    { fix: `Install it with pip install torch==${required}, or set LIBTORCH to the folder of an unpacked LibTorch.` },
  )
}
