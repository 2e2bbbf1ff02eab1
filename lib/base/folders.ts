/** Folders as users name them, and what of them is there. */
import { statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname, posix, win32 } from 'node:path'
import { Sam3InputError } from './errors.js'
import { shown } from './shown.js'

function refuse(source: string, given: string, message: string, fix: string): never {
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `The cache folder ${shown(given)} (${source}) ${message}`, {
    fix,
  })
}

/**
 * An absolute path from what a user wrote, after `~` and variables were replaced. A relative one is resolved against the working directory. On Windows both
 * slashes work; a Windows path elsewhere is refused, because it would quietly become a folder of that odd name here.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`
 */
export function absoluteFolder(
  given: string,
  source: string,
  platform: NodeJS.Platform = process.platform,
  workingDirectory: string = process.cwd(),
): { path: string; relative?: string } {
  const windows = platform === 'win32'
  // 'C:\new' in a program's text holds a line break, 'C:\models' has lost its backslash.
  if (/[\x00-\x1f]/.test(given)) {
    refuse(
      source,
      given,
      'holds a control character.',
      "In code, write C:/models or 'C:\\\\models': a single backslash starts an escape.",
    )
  }
  if (/^[A-Za-z]:(?![\\/])/.test(given)) {
    refuse(
      source,
      given,
      'has a drive but no slash after it.',
      "In code, write C:/models or 'C:\\\\models': a single backslash starts an escape.",
    )
  }
  if (!windows && /^(?:[A-Za-z]:[\\/]|\\\\)/.test(given)) {
    refuse(
      source,
      given,
      'is a Windows path, and this is not Windows.',
      'Give the path as this system has it; in WSL, C:\\models is /mnt/c/models.',
    )
  }
  const rules = windows ? win32 : posix
  if (rules.isAbsolute(given)) return { path: rules.normalize(given).replace(/(?<=[^\\/:])[\\/]+$/, '') }
  return { path: rules.resolve(workingDirectory, given), relative: given }
}

/** The nearest folder above `path` that exists, itself included. */
export function existingFolder(path: string): string {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      if (statSync(folder).isDirectory()) return folder
    } catch {
      // not there: its parent may be
    }
    if (folder === dirname(folder)) return folder
  }
}

/** Bytes of a file; undefined where there is none. */
export async function fileSize(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size
}
