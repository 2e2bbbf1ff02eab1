/** Images that are named by a string or a URL: the bytes of the file, or what to do where the string is no path. */
import { readFile, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Sam3InputError } from '../base/errors.js'
import { shortened } from '../base/shown.js'
import { isBase64Image } from './identify.js'

/** A path is shorter on every file system; what is longer is something else, and belongs in no message and no log. */
const LONGEST_PATH = 4096

/** A file that was read. */
export interface ImageFile {
  bytes: Buffer
  /** What messages call it. */
  name: string
}

/**
 * Reads the file at a path or `file:` URL, whole: libvips remembers what it decoded from a path, and gives the old
 * picture of a WebP file that has been written over.
 * @throws Sam3InputError `ERR_IMAGE_NOT_FOUND`, `ERR_INVALID_ARGUMENT`
 */
export async function readImageFile(location: string | URL): Promise<ImageFile> {
  const path = toPath(location)
  const name = shortened(path)
  try {
    const found = await stat(path)
    if (found.isFile()) return { bytes: await readFile(path), name }
  } catch (error) {
    throw unreadable(path, name, error as NodeJS.ErrnoException)
  }
  throw new Sam3InputError('ERR_IMAGE_NOT_FOUND', `${name} is not a file.`, {
    fix: 'Pass the path of an image file; for a folder of frames use a video session.',
  })
}

function toPath(location: string | URL): string {
  const given = String(location)
  const scheme = /^(https?|data|blob|s3|gs|ftp|file):/i.exec(given)?.[0].toLowerCase()
  if (scheme === 'file:') {
    try {
      return fileURLToPath(given)
    } catch {
      throw noImage(`${shortened(given)} is no file: URL of this machine.`, 'Pass a path, or pathToFileURL(path).')
    }
  }
  if (scheme === 'data:') {
    throw noImage('A data: address was given as an image.', "Decode it: Buffer.from(address.split(',')[1], 'base64').")
  }
  if (scheme || location instanceof URL) {
    const protocol = scheme ?? (location as URL).protocol
    throw noImage(
      `Images are not fetched from ${protocol} addresses.`,
      'Fetch the bytes first and pass them: await fetch(url).then((r) => r.arrayBuffer()).',
    )
  }
  // A short name of a file may read as base64 too, and a file is what a string means: see `unreadable`.
  if (given.length > LONGEST_PATH) throw noPath(given)
  return given
}

function noImage(message: string, fix: string): Sam3InputError {
  return new Sam3InputError('ERR_INVALID_ARGUMENT', message, { fix })
}

/** A string that cannot be a path. Nothing of it is in the message: it may be the picture of somebody. */
function noPath(given: string): Sam3InputError {
  const length = `a string of ${given.length} characters`
  if (isBase64Image(given)) {
    return noImage(
      `An image was expected, but got ${length} that is base64: a string is taken as a path.`,
      "Decode it first: Buffer.from(text, 'base64').",
    )
  }
  if (/^\s*</.test(given)) {
    return noImage(
      `An image was expected, but got ${length} that is SVG or XML: a string is taken as a path.`,
      'Pass an SVG as bytes: Buffer.from(text).',
    )
  }
  return noImage(
    `An image was expected, but got ${length}, too long for a path.`,
    'Pass a path, or the bytes of the file.',
  )
}

function unreadable(path: string, name: string, cause: NodeJS.ErrnoException): Sam3InputError {
  if (isBase64Image(path) || /^\s*<(svg|\?xml)/i.test(path)) return noPath(path)
  const { code } = cause
  if (code === 'ERR_FS_FILE_TOO_LARGE') {
    return new Sam3InputError('ERR_INVALID_IMAGE', `${name} is too large: files of up to 2 GiB are read.`, {
      fix: 'Cut it into tiles, or scale it down first.',
    })
  }
  const isLong = name !== path // its cause would hold it whole
  return new Sam3InputError('ERR_IMAGE_NOT_FOUND', `The image ${name} cannot be opened (${code ?? cause.name}).`, {
    ...(isLong ? {} : { cause }),
    fix:
      code === 'EACCES' || code === 'EPERM'
        ? 'Give this process the right to read it.'
        : 'Check the path; a relative one starts at the current folder of the process.',
  })
}
