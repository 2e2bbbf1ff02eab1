/** The files that a command line names. */
import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { glob, isDynamicPattern } from 'tinyglobby'
import { Sam3InputError } from '../../base/errors.js'
import { shortened } from '../../base/shown.js'

/** Also what cannot be read here: a photograph that is silently left out would be worse than an error about it. */
const IMAGE_PATTERN = '**/*.{jpg,jpeg,png,webp,tif,tiff,avif,gif,heic,heif,bmp}'

/**
 * Files, globs and folders (all images in them) as a list of paths, each once. A plain name that does not exist stays
 * in the list: it is reported with the other failures, and does not stop the rest.
 * @throws Sam3InputError `ERR_IMAGE_NOT_FOUND` when a glob or a folder holds nothing.
 */
export async function expandFiles(names: readonly string[]): Promise<string[]> {
  const files: string[] = []
  for (const name of names) {
    if (existsSync(name) && !statSync(name).isDirectory()) files.push(name)
    else if (existsSync(name)) files.push(...(await matches(IMAGE_PATTERN, name)))
    else if (isDynamicPattern(name)) files.push(...(await matches(name)))
    else files.push(name)
  }
  // A file may be named by itself and by a glob, in two spellings of its path.
  const seen = new Set<string>()
  return files.filter((file) => {
    const path = resolve(file)
    const isNew = !seen.has(path)
    seen.add(path)
    return isNew
  })
}

async function matches(pattern: string, folder?: string): Promise<string[]> {
  const found = await glob(pattern, {
    ...(folder === undefined ? {} : { cwd: folder, caseSensitiveMatch: false }),
    onlyFiles: true,
    expandDirectories: false,
  })
  if (found.length === 0) {
    throw new Sam3InputError('ERR_IMAGE_NOT_FOUND', `No image matches ${shortened(folder ?? pattern)}.`, {
      fix: 'Check the path; quote a glob so that the shell leaves it alone.',
    })
  }
  return found.sort().map((file) => (folder === undefined ? file : `${folder.replace(/\/$/, '')}/${file}`))
}
