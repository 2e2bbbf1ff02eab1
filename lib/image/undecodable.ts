/**
 * Why an image cannot be decoded, told from its own bytes. What libvips says is never passed on: it keeps one text of
 * errors for the whole process, so that a message may be about, and name, an image of another call.
 */
import sharp, { type Metadata } from 'sharp'
import { Sam3InputError } from '../base/errors.js'
import { identify } from './identify.js'
import { type FileKind, TIFF } from './signatures.js'
import { readTiffTags, tiffLayout } from './tiff-tags.js'

/** Largest number of pixels that sharp opens unless it is told otherwise. */
const PIXEL_LIMIT = 0x3fff ** 2
const READABLE = 'JPEG, PNG, WebP, TIFF, AVIF, GIF and SVG'
const RAW_PIXELS = '{ data, width, height, channels }'
const LOOK_AT_BANDS = 'docs/images.md, "Numbers that are no pictures", shows how'

function invalid(message: string, fix: string): Sam3InputError {
  return new Sam3InputError('ERR_INVALID_IMAGE', message, { fix })
}

/** An image of no bytes. */
export function emptyImage(name: string): Sam3InputError {
  return invalid(`${name} is empty (0 bytes).`, 'Check how it was written or downloaded.')
}

/**
 * The error for an image that sharp could not read.
 * @param bytes Of the file, where they are known.
 */
export async function undecodable(name: string, bytes: Uint8Array | undefined): Promise<Sam3InputError> {
  if (bytes?.length === 0) return emptyImage(name)
  const { width, height } = await sizeOf(bytes)
  if (width * height > PIXEL_LIMIT) {
    return invalid(
      `${name} has ${width} x ${height} pixels; sharp opens ${PIXEL_LIMIT} unless it is told otherwise.`,
      'Scale it down or cut it into tiles first, or pass it as sharp(file, { limitInputPixels: false }).',
    )
  }
  const kind = bytes && identify(bytes)
  if (bytes && kind === TIFF) {
    const layout = tiffLayout(readTiffTags(bytes))
    if (layout && !layout.isPlain) return notPixels(name, layout.numbers)
    if (layout && !layout.isColour && !layout.isGrey) return notColours(name, layout.bands)
    if (layout?.compression) {
      return invalid(
        `${name} is a TIFF file compressed with ${layout.compression}, which libvips here cannot read.`,
        'Save it with another compression first, such as with tiffcp -c lzw in.tif out.tif.',
      )
    }
  }
  if (!kind) {
    const what = bytes ? `${name} is no image of a kind that is known here` : `${name} cannot be decoded`
    return invalid(`${what}.`, `Pass one of ${READABLE}; check that it is complete.`)
  }
  if (canRead(kind)) {
    return invalid(
      `${name} is ${kind.name} that is cut off or damaged, or of a rare variant.`,
      'Open it in another program: where that shows it whole, save it anew as PNG.',
    )
  }
  return unread(name, kind)
}

function unread(name: string, { name: what, way }: FileKind): Sam3InputError {
  return invalid(`${name} is ${what}, which cannot be decoded here.`, way)
}

/** Width and height as sharp reads them, or 0 where it cannot. */
async function sizeOf(bytes: Uint8Array | undefined): Promise<{ width: number; height: number }> {
  const unknown = { width: 0, height: 0 }
  return bytes
    ? sharp(bytes, { limitInputPixels: false })
        .metadata()
        .catch(() => unknown)
    : unknown
}

/** Whether the libvips that sharp uses has a reader for the kind. */
function canRead({ reader, way }: FileKind): boolean {
  if (reader === undefined) return false
  const format = sharp.format[reader as keyof typeof sharp.format]
  return way === '' || format?.input.buffer === true
}

/**
 * Refuses what would come out black, grey or clipped without a word: numbers that are no brightness from 0 to 255 or
 * 65535, bands that are no colours, and the previews in files of cameras.
 * @throws Sam3InputError `ERR_INVALID_IMAGE`
 */
export function checkPixels(name: string, metadata: Metadata, bytes: Uint8Array | undefined): void {
  const { depth, space, channels, format } = metadata
  const kind = format === 'tiff' && bytes ? identify(bytes) : undefined
  // The first picture in a camera raw file is a small preview.
  if (kind && kind !== TIFF) throw unread(name, kind)
  const layout = kind && bytes ? tiffLayout(readTiffTags(bytes)) : undefined
  if (depth !== 'uchar' && depth !== 'ushort') throw notPixels(name, layout?.numbers ?? `numbers of the type ${depth}`)
  const isGrey = space === 'b-w' || space === 'grey16'
  if (isGrey && (channels > 2 || (channels === 2 && layout?.isGrey === false)))
    throw notColours(name, layout?.bands ?? channels)
}

function notPixels(name: string, numbers: string): Sam3InputError {
  return invalid(
    `${name} holds ${numbers}, of which it is not said what is black and what is white.`,
    `Scale them to 0..255 and pass them as ${RAW_PIXELS}: ${LOOK_AT_BANDS}.`,
  )
}

function notColours(name: string, bands: number): Sam3InputError {
  return invalid(
    `${name} has ${bands} bands (channels), of which it is not said which are red, green and blue.`,
    `Choose three bands, scale them to 0..255 and pass them as ${RAW_PIXELS}: ${LOOK_AT_BANDS}.`,
  )
}
