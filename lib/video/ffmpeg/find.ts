/** Where ffmpeg and ffprobe are. The one place that knows, for reading, for writing and for `sam3-node doctor`. */
import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, delimiter, dirname, join, resolve } from 'node:path'
import { packageRoot } from '../../base/package-root.js'
import { Sam3EnvironmentError, Sam3InputError } from '../../base/errors.js'

/** The two programs. */
export type ProgramName = 'ffmpeg' | 'ffprobe'

/** Where they are, as a caller says it. */
export interface ProgramOptions {
  /**
   * Path of the ffmpeg program, or a name that is looked for on the PATH. Default: `FFMPEG_PATH`, then the npm packages
   * `ffmpeg-static`, `@ffmpeg-installer/ffmpeg` and `ffmpeg-ffprobe-static` where one is installed, then the PATH.
   */
  ffmpeg?: string
  /**
   * Path of the ffprobe program. Default: `FFPROBE_PATH`, then beside ffmpeg, then the npm packages `ffprobe-static`,
   * `@ffprobe-installer/ffprobe` and `ffmpeg-ffprobe-static`, then the PATH.
   */
  ffprobe?: string
}

/** A program that was found. */
export interface FoundProgram {
  path: string
  /** What led to it, for a person. */
  from: string
}

/** Variables of the environment that name them. */
export const VARIABLES = { ffmpeg: 'FFMPEG_PATH', ffprobe: 'FFPROBE_PATH' } as const

/** Packages that bring a program, and the key of what they export that is its path (none: the export itself). */
const PACKAGES: Readonly<Record<ProgramName, Readonly<Record<string, string | undefined>>>> = {
  ffmpeg: {
    'ffmpeg-static': undefined,
    '@ffmpeg-installer/ffmpeg': 'path',
    'ffmpeg-ffprobe-static': 'ffmpegPath',
  },
  ffprobe: {
    'ffprobe-static': 'path',
    '@ffprobe-installer/ffprobe': 'path',
    'ffmpeg-ffprobe-static': 'ffprobePath',
  },
}

export const INSTALL_FIX =
  'Install ffmpeg 4.4 or newer, which brings ffprobe (Debian and Ubuntu: apt install ffmpeg; macOS: brew install ffmpeg; ' +
  "npm: npm install ffmpeg-static ffprobe-static), name them with { ffmpeg: '/path/to/ffmpeg', ffprobe: '/path/to/ffprobe' } " +
  'or FFMPEG_PATH and FFPROBE_PATH, or use a folder of frames.'

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` unless both are left out or paths. */
export function checkProgramOptions(options: ProgramOptions): ProgramOptions {
  for (const name of ['ffmpeg', 'ffprobe'] as const) {
    const value: unknown = options[name]
    if (value === undefined || (typeof value === 'string' && value !== '')) continue
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} must be the path of a program.`, {
      fix: 'Leave it out for the one that is installed.',
    })
  }
  return options
}

/**
 * Finds a program. What was named must be there; nothing else is taken in its place.
 * @throws Sam3EnvironmentError `ERR_FFMPEG_NOT_FOUND`, with all that was tried
 */
export function findProgram(name: ProgramName, options: ProgramOptions): FoundProgram {
  const named = findNamed(name, options)
  if (named) return named
  const tried = [`${VARIABLES[name]} (not set)`]
  const places = [...(name === 'ffprobe' ? [() => beside(options)] : []), () => inPackages(name), () => onPath(name)]
  for (const place of places) {
    const found = place()
    if ('path' in found) return found
    tried.push(...found.tried)
  }
  throw notFound(`There is no ${name}. Tried: ${tried.join('; ')}.`)
}

type Outcome = FoundProgram | { tried: string[] }

function findNamed(name: ProgramName, options: ProgramOptions): FoundProgram | undefined {
  const variable = VARIABLES[name]
  const [value, from] = options[name] ? [options[name], `the option ${name}`] : [process.env[variable], variable]
  if (!value) return undefined
  if (basename(value) === value) {
    const found = onPath(value)
    if ('path' in found) return { path: found.path, from: `${from} and the PATH` }
    throw notFound(`The ${name} that ${from} names cannot be used: ${found.tried.join('; ')}.`)
  }
  const path = resolve(value)
  const obstacle = obstacleTo(path)
  if (obstacle === undefined) return { path, from }
  throw notFound(`The ${name} that ${from} names cannot be used: ${path} ${obstacle}.`)
}

/** Also where a link to ffmpeg leads. */
function beside(options: ProgramOptions): Outcome {
  const { path: ffmpeg } = findProgram('ffmpeg', options)
  const tried: string[] = []
  for (const program of new Set([ffmpeg, realpathSync(ffmpeg)])) {
    // `ffmpeg-7` has an `ffprobe-7`, or just an `ffprobe`.
    for (const name of new Set([basename(program).replace('ffmpeg', 'ffprobe'), 'ffprobe'])) {
      const path = join(dirname(program), name)
      const obstacle = path === program ? 'is ffmpeg itself' : obstacleTo(path)
      if (obstacle === undefined) return { path, from: 'beside ffmpeg' }
      tried.push(`${path} (${obstacle})`)
    }
  }
  return { tried }
}

function inPackages(name: ProgramName): Outcome {
  const tried: string[] = []
  for (const [packageName, key] of Object.entries(PACKAGES[name])) {
    const loaded = loadPackage(packageName)
    if (!loaded) {
      tried.push(`the package ${packageName} (not installed)`)
      continue
    }
    const { value } = loaded
    const given = key === undefined ? ((value as { default?: unknown } | null)?.default ?? value) : pick(value, key)
    const path = typeof given === 'string' ? given : undefined
    const obstacle = loaded.problem ?? (path === undefined ? 'has no program for this system' : obstacleTo(path))
    if (path !== undefined && obstacle === undefined) return { path, from: `the package ${packageName}` }
    // Package managers that run no scripts of packages leave the program out.
    tried.push(`the package ${packageName} (${path === undefined ? '' : `its ${path} `}${obstacle})`)
  }
  return { tried }
}

const pick = (value: unknown, key: string) => (value as Record<string, unknown> | null | undefined)?.[key]

/** As the program that runs would load it, or else as this package would. Undefined where it is not installed. */
function loadPackage(name: string): { value?: unknown; problem?: string } | undefined {
  // A folder may be what was started; `node --eval` starts nothing, and loads from where it is.
  const bases = [join(process.argv[1] ?? process.cwd(), 'main.js'), join(packageRoot(), 'package.json')]
  for (const base of bases) {
    const require = createRequire(base)
    try {
      require.resolve(name)
    } catch {
      continue
    }
    try {
      return { value: require(name) }
    } catch (error) {
      return { problem: `cannot be loaded: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}` }
    }
  }
  return undefined
}

function onPath(name: string): Outcome {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const unusable: string[] = []
  for (const folder of folders) {
    const path = resolve(folder, name)
    const obstacle = obstacleTo(path)
    if (obstacle === undefined) return { path, from: 'the PATH' }
    if (obstacle !== MISSING) unusable.push(`${path} (${obstacle})`)
  }
  return { tried: [...unusable, `${name} on the PATH (${folders.length} folders)`] }
}

const MISSING = 'is not there'

/** Why a file cannot be run; undefined where it can. */
function obstacleTo(path: string): string | undefined {
  try {
    const found = statSync(path)
    if (!found.isFile()) return found.isDirectory() ? 'is a folder' : 'is no file'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOENT' || code === 'ENOTDIR' ? MISSING : `cannot be looked at (${code})`
  }
  try {
    accessSync(path, constants.X_OK)
    return undefined
  } catch {
    return 'is not executable'
  }
}

function notFound(message: string): Sam3EnvironmentError {
  return new Sam3EnvironmentError('ERR_FFMPEG_NOT_FOUND', message, { fix: INSTALL_FIX })
}
