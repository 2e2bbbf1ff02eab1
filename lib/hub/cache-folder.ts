/** Decides which folder is the cache, says why, and checks that it can be used. */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Sam3HubError } from '../base/errors.js'
import { packageRoot } from '../base/package-root.js'
import { huggingFaceHome } from './environment.js'
import { type Environment, expandPath, expandUser } from '../base/expand.js'
import { absoluteFolder, existingFolder } from '../base/folders.js'

/** How a user names another folder. */
export const ELSEWHERE = 'SAM3_CACHE_DIR or the option cacheDir'

/** By falling precedence. */
const HUGGING_FACE_VARIABLES = ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HOME'] as const

/** The folder of the cache and where the decision came from. */
export interface CacheFolder {
  /** Absolute. */
  path: string
  /** Such as `the option cacheDir` or `SAM3_CACHE_DIR`. */
  source: string
  /** As it was given, when that was relative: the path above is it, resolved against the working directory. */
  relative?: string
  /** Whether the user chose it, rather than it being the default. */
  chosen: boolean
}

/** Folder of Hugging Face's own cache, whether or not it is there. */
export function huggingFaceCache(env: Environment): string {
  const variable = HUGGING_FACE_VARIABLES.find((name) => env[name])
  return absoluteFolder(huggingFaceHub(env), variable ?? 'HF_HOME').path
}

/** The same as Python's huggingface_hub finds, with its rules: expanded, perhaps relative. */
function huggingFaceHub(env: Environment): string {
  return expandPath(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || `${huggingFaceHome(env)}/hub`, env)
}

/** `models/` of this package. */
export function packageCache(): string {
  return join(packageRoot(), 'models')
}

/** The folder by falling precedence: option, `SAM3_CACHE_DIR`, Hugging Face's variables, `models/` of the package. */
export function findCacheFolder(option: string | undefined, env: Environment): CacheFolder {
  const variable = HUGGING_FACE_VARIABLES.find((name) => env[name])
  const chosen: [string | undefined, string][] = [
    [option && expandUser(option, env), 'the option cacheDir'],
    [env.SAM3_CACHE_DIR && expandPath(env.SAM3_CACHE_DIR, env), 'SAM3_CACHE_DIR'],
    [variable && huggingFaceHub(env), variable ?? ''],
  ]
  for (const [given, source] of chosen) {
    if (given) return { ...absoluteFolder(given, source), source, chosen: true }
  }
  return { path: packageCache(), source: 'the default: models/ of the package', chosen: false }
}

/** What keeps a folder from being written to, and what to do about it. */
function obstacle(code: string | undefined, at: string): { why: string; fix: string } {
  if (code === 'EROFS') {
    const fix = 'Mount it for writing (docker run -v without :ro), or fill it first with: sam3-node pull.'
    return { why: 'it is on a read-only file system', fix }
  }
  if (code === 'ENOTDIR' || code === 'EEXIST') {
    return { why: 'a part of its path is a file', fix: 'A file is where a folder must be: move it away.' }
  }
  const user = process.getuid?.() ?? '<user>'
  return {
    why: `${at} belongs to user ${statSync(at).uid}, this process runs as user ${user}`,
    fix: `Give it to this user (chown -R ${user} ${at}), or run the container with --user.`,
  }
}

function notWritable(folder: CacheFolder, cause: unknown): Sam3HubError {
  const { why, fix } = obstacle((cause as NodeJS.ErrnoException | undefined)?.code, existingFolder(folder.path))
  return new Sam3HubError(
    'ERR_CACHE_NOT_WRITABLE',
    `The model cache ${folder.path} (${folder.source}) is not writable: ${why}.`,
    { cause, fix: `${fix} Or choose another folder with ${ELSEWHERE}.` },
  )
}

const NOT_WRITABLE = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST'])

/** Gives a file system's refusal to write a code and a fix, and leaves other errors as they are. */
export function asCacheError(error: unknown, folder: CacheFolder): unknown {
  return NOT_WRITABLE.has((error as NodeJS.ErrnoException | undefined)?.code ?? '') ? notWritable(folder, error) : error
}

/** Looks whether the folder can be made and written to, and changes nothing. @throws Sam3HubError `ERR_CACHE_NOT_WRITABLE` */
export function probeFolder(folder: CacheFolder, path: string = folder.path): void {
  const at = existingFolder(path)
  try {
    accessSync(at, constants.W_OK)
  } catch (error) {
    throw notWritable(folder, error)
  }
  const [next] = relative(at, path).split(/[\\/]/)
  // Another process may make the folder at this very moment: only what is no folder is in the way.
  if (next && statSync(join(at, next), { throwIfNoEntry: false })?.isDirectory() === false) {
    throw notWritable(folder, { code: 'ENOTDIR' })
  }
}

/** Makes the folder where it is missing. @throws Sam3HubError `ERR_CACHE_NOT_WRITABLE` */
export function prepareFolder(folder: CacheFolder, path: string): void {
  // Asked first, because making a folder on a read-only file system fails with a misleading "no such file".
  probeFolder(folder, path)
  try {
    mkdirSync(path, { recursive: true })
  } catch (error) {
    throw asCacheError(error, folder)
  }
}
