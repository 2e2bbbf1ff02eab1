/** Encoded images, and sharp instances, to RGB bytes. */
import { readFile } from 'node:fs/promises'
import sharp, { type Metadata, type Sharp } from 'sharp'
import { Sam3Error } from '../base/errors.js'
import { fromRawPixels } from './raw.js'
import type { RgbImage } from './source.js'
import { checkPixels, emptyImage, undecodable } from './undecodable.js'

/**
 * Truncated or damaged data is an error: a mask of half an image would be silently wrong. Images of any number of
 * channels are opened, so that what is wrong with them can be said.
 */
const OPTIONS = { failOn: 'error', limitInputChannels: 0 } as const

/** Colour spaces whose pixels are RGB or grey already. */
const PLAIN_SPACES: ReadonlySet<string | undefined> = new Set(['srgb', 'rgb', 'rgb16', 'b-w', 'grey16'])

/**
 * Decodes the bytes of an encoded image.
 * @param name What messages call it.
 * @throws Sam3InputError `ERR_INVALID_IMAGE`
 */
export async function decodeBytes(bytes: Uint8Array, name: string): Promise<RgbImage> {
  if (bytes.length === 0) throw emptyImage(name)
  // sharp knows no bytes of another realm.
  const own = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return decodeWith(name, () => sharp(own, OPTIONS), own)
}

/**
 * Decodes pictures `page` to `page + pages`, exclusive, of a file of several: one image, in which they lie below each other.
 * @param name What messages call them.
 * @throws Sam3InputError `ERR_INVALID_IMAGE`
 */
export async function decodePages(bytes: Buffer, name: string, page: number, pages: number): Promise<RgbImage> {
  return decodeWith(name, () => sharp(bytes, { ...OPTIONS, page, pages }), bytes, pages)
}

/**
 * Decodes a sharp instance, with all that it was told to do.
 * @throws Sam3InputError `ERR_INVALID_IMAGE`
 */
export async function decodeInstance(image: Sharp): Promise<RgbImage> {
  return decodeWith(
    'The image of the sharp instance',
    () => image.clone(),
    () => inputBytes(image),
  )
}

type Bytes = Uint8Array | undefined

async function decodeWith(
  name: string,
  open: () => Sharp,
  bytes: Bytes | (() => Promise<Bytes>),
  pages = 1,
): Promise<RgbImage> {
  const load = async () => (typeof bytes === 'function' ? bytes() : bytes)
  try {
    // Both at once: an instance that a stream is piped into gives its data to the copies made before its end.
    const [forMetadata, forPixels] = [open(), open()]
    const metadata = await forMetadata.metadata()
    checkPixels(name, metadata, metadata.format === 'tiff' ? await load() : undefined)
    return await toRgb(forPixels, metadata, pages)
  } catch (error) {
    // Not as the cause either: what sharp says may be about another image.
    throw error instanceof Sam3Error ? error : await undecodable(name, await load())
  }
}

async function toRgb(image: Sharp, { space }: Metadata, pages: number): Promise<RgbImage> {
  // The reference ignores embedded profiles, so applying one would move its pixels: a profile that is kept is not
  // applied. CMYK, Lab and the like cannot be read without.
  if (PLAIN_SPACES.has(space)) image.keepIccProfile()
  const { data, info } = await image
    .autoOrient()
    .removeAlpha()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  const { width, channels } = info
  // Of a file that was opened with several, the pictures lie below each other: an instance of an animation is its first one.
  const height = Math.min(info.height, (info.pageHeight ?? info.height) * pages)
  const pixels = data.subarray(0, width * height * channels)
  return fromRawPixels({ data: pixels, width, height, channels: channels as 1 | 2 | 3 | 4 })
}

/**
 * The bytes that a sharp instance reads, for messages and for what sharp does not tell of a TIFF. sharp keeps them where
 * no interface promises them, so they may as well not be found.
 */
async function inputBytes(image: Sharp): Promise<Bytes> {
  const input = (image as { options?: { input?: { file?: unknown; buffer?: unknown; rawWidth?: number } } }).options
    ?.input
  if (!input || (input.rawWidth ?? 0) > 0) return undefined
  if (input.buffer instanceof Uint8Array) return input.buffer
  return typeof input.file === 'string' ? readFile(input.file).catch(() => undefined) : undefined
}
