/** Where results go, checked before anything is read or loaded: hours of work must not end in a mistake of typing. */
import { accessSync, constants, type Stats, statSync } from 'node:fs'
import { dirname, extname, resolve } from 'node:path'
import { Sam3InputError } from '../../base/errors.js'
import { isWritableVideo, VIDEO_ENDINGS } from '../../video/encode/formats.js'

/** Endings that mean a file. Names of folders have dots as well, mostly with numbers behind them: `run.01`. */
const FILE_ENDING = /^\.[a-z][a-z\d]{0,4}$/i

/** What is there; undefined also where nobody may look. */
function look(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

const isFolder = (path: string) => path.endsWith('/') || look(path)?.isDirectory() === true

/** Whether `track --out` is a video file; else it is a folder of pictures. */
export function isVideoOutput(path: string): boolean {
  return !isFolder(path) && isWritableVideo(path)
}

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` unless `--out` is a video that can be written or a folder */
export function checkVideoOrFolder(path: string): void {
  if (isVideoOutput(path)) {
    checkOutputFile('--out', path)
    return
  }
  if (!isFolder(path) && FILE_ENDING.test(extname(path))) {
    throw unusable('--out', path, 'is no kind of video that can be written', {
      fix: `Use one of the endings ${VIDEO_ENDINGS.join(', ')}, or a folder for pictures: ${path}/`,
    })
  }
  checkOutputFolder('--out', path)
}

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` unless a folder is there, or can be made */
export function checkOutputFolder(option: string, path: string): void {
  if (look(path)?.isDirectory() === false) {
    throw unusable(option, path, 'is a file, where a folder is needed', { fix: 'Choose another name.' })
  }
  if (!isFolder(path) && FILE_ENDING.test(extname(path))) {
    throw unusable(option, path, 'looks like a file, where a folder is needed', {
      fix: `Leave the ending out, or write ${path}/ where the folder is meant to be called so.`,
    })
  }
  checkWritable(option, path, path)
}

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` unless a file can be written there */
export function checkOutputFile(option: string, path: string): void {
  if (isFolder(path)) throw unusable(option, path, 'is a folder, where a file is needed', { fix: 'Name a file in it.' })
  // A file appears under its name when it is complete: what is no plain file would be replaced by one.
  if (look(path)?.isFile() === false) {
    throw unusable(option, path, 'is no plain file', { fix: 'Name a file that can be replaced.' })
  }
  checkWritable(option, path, dirname(path))
}

/** Folders that are missing are made later, in the nearest one that is there. */
function checkWritable(option: string, path: string, folder: string): void {
  let nearest = resolve(folder)
  while (!look(nearest) && dirname(nearest) !== nearest) nearest = dirname(nearest)
  if (look(nearest)?.isDirectory() === false) {
    throw unusable(option, path, `cannot be made: ${nearest} is no folder`, { fix: 'Choose another place.' })
  }
  try {
    accessSync(nearest, constants.W_OK | constants.X_OK)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw unusable(option, path, `cannot be written: the folder ${nearest} does not allow it (${code})`, {
      cause,
      fix: 'Choose another place, or change its permissions.',
    })
  }
}

function unusable(
  option: string,
  path: string,
  why: string,
  details: { cause?: unknown; fix: string },
): Sam3InputError {
  return new Sam3InputError('ERR_INVALID_ARGUMENT', `${option} ${path} ${why}.`, details)
}
