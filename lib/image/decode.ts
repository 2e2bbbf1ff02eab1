/** Any image input to RGB bytes. */
import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import sharp, { type Sharp } from 'sharp'
import { Sam3InputError } from '../errors.js'
import { fromRawPixels } from './raw.js'
import { type DecodedImage, type ImageInput, isRawImage, isSharp } from './source.js'

/**
 * Decodes `image` to RGB bytes as the reference sees them: EXIF orientation applied, alpha dropped without blending,
 * grey copied to three channels, 16 bits reduced to 8, embedded RGB profiles ignored (CMYK and others converted).
 * PNG and other lossless formats are exact; JPEG may differ by small values between decoders.
 *
 * @throws Sam3InputError `ERR_IMAGE_NOT_FOUND`, `ERR_INVALID_IMAGE` (unreadable, truncated, empty, too large) or
 * `ERR_INVALID_ARGUMENT` (not an image input at all).
 */
export async function decodeImage(image: ImageInput): Promise<DecodedImage> {
  if (typeof image === 'string' || image instanceof URL) return decodeFile(image)
  if (image instanceof Uint8Array) return decodeBytes(image)
  if (image instanceof ArrayBuffer) return decodeBytes(new Uint8Array(image))
  if (isSharp(image)) {
    return toRgb(image.clone()).catch((cause: unknown) => {
      throw undecodable('The sharp instance', cause)
    })
  }
  if (isRawImage(image)) return fromRawPixels(image)
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `An image was expected, but got ${describe(image)}.`, {
    fix: 'Pass a file path, a file: URL, encoded bytes, { data, width, height, channels } or a sharp instance.',
  })
}

function describe(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'object') return `an object of type ${value.constructor?.name ?? 'Object'}`
  return typeof value
}

async function decodeFile(location: string | URL): Promise<DecodedImage> {
  const path = toPath(location)
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    throw new Sam3InputError(
      'ERR_IMAGE_NOT_FOUND',
      `The image ${path} cannot be opened (${cause.code ?? cause.message}).`,
      {
        cause,
        fix: 'Check the path; a relative one starts at the current folder of the process.',
      },
    )
  })
  if (!found.isFile()) {
    throw new Sam3InputError('ERR_IMAGE_NOT_FOUND', `${path} is not a file.`, {
      fix: 'Pass the path of an image file.',
    })
  }
  if (found.size === 0) throw emptyImage(path)
  return decodeEncoded(path, path)
}

function toPath(location: string | URL): string {
  const url = typeof location === 'string' ? (location.startsWith('file:') ? new URL(location) : undefined) : location
  if (url?.protocol === 'file:') return fileURLToPath(url)
  const scheme = url?.protocol ?? /^(https?|data|blob|s3):/i.exec(String(location))?.[0]
  if (scheme) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `Images are not fetched from ${scheme} addresses.`, {
      fix: 'Fetch the bytes first and pass them: await fetch(url).then((r) => r.arrayBuffer()).',
    })
  }
  return String(location)
}

async function decodeBytes(bytes: Uint8Array): Promise<DecodedImage> {
  if (bytes.length === 0) throw emptyImage('The image')
  return decodeEncoded(bytes, 'The image')
}

function emptyImage(name: string): Sam3InputError {
  return new Sam3InputError('ERR_INVALID_IMAGE', `${name} is empty (0 bytes).`, {
    fix: 'Check how it was written or downloaded.',
  })
}

/** Truncated or damaged data is an error: a mask of half an image would be silently wrong. */
const OPTIONS = { failOn: 'error' } as const

/** Colour spaces whose pixels are RGB or grey already. */
const PLAIN_SPACES: ReadonlySet<string | undefined> = new Set(['srgb', 'rgb', 'rgb16', 'b-w', 'grey16'])

async function decodeEncoded(source: string | Uint8Array, name: string): Promise<DecodedImage> {
  try {
    const { space } = await sharp(source, OPTIONS).metadata()
    // The reference ignores embedded profiles, so applying one would move its pixels. CMYK, Lab and the like cannot
    // be read without.
    return await toRgb(sharp(source, { ...OPTIONS, ignoreIcc: PLAIN_SPACES.has(space) }))
  } catch (error) {
    throw undecodable(name, error)
  }
}

async function toRgb(image: Sharp): Promise<DecodedImage> {
  const { data, info } = await image
    .autoOrient()
    .removeAlpha()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  return fromRawPixels({ data, width: info.width, height: info.height, channels: info.channels as 1 | 2 | 3 | 4 })
}

function undecodable(name: string, cause: unknown): Sam3InputError {
  if (cause instanceof Sam3InputError) return cause
  const reason = cause instanceof Error ? cause.message.split('\n')[0]!.trim() : String(cause)
  return new Sam3InputError('ERR_INVALID_IMAGE', `${name} cannot be decoded: ${reason}.`, {
    cause,
    fix: /pixel limit/i.test(reason)
      ? 'Scale it down first, or pass it as sharp(file, { limitInputPixels: false }).'
      : 'Check that it is a complete JPEG, PNG, WebP, TIFF, AVIF or GIF file.',
  })
}
