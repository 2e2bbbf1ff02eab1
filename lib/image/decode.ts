/** Any image input to RGB bytes. */
import { types } from 'node:util'
import { Sam3InputError } from '../base/errors.js'
import { kindOf } from '../base/shown.js'
import { decodeBytes, decodeInstance } from './encoded.js'
import { readImageFile } from './location.js'
import { fromRawPixels } from './raw.js'
import { type ImageInput, isRawImage, isSharp, type RgbImage } from './source.js'

/** What messages call an image that came as bytes. */
const NAME_OF_BYTES = 'The image'

/**
 * Decodes `image` to RGB bytes as the reference sees them: EXIF orientation applied, alpha dropped without blending,
 * grey copied to three channels, 16 bits reduced to 8, embedded RGB profiles ignored (CMYK and others converted), the
 * first of several frames or pages. PNG and other lossless formats are exact; JPEG may differ by small values between
 * decoders.
 *
 * Errors are about this image alone: they name it as it was given, and hold nothing that libvips said.
 *
 * @throws Sam3InputError `ERR_IMAGE_NOT_FOUND`, `ERR_INVALID_IMAGE` (unreadable, truncated, empty, too large, floats,
 * bands that are no colours) or `ERR_INVALID_ARGUMENT` (not an image input at all).
 */
export async function decodeImage(image: ImageInput): Promise<RgbImage> {
  if (typeof image === 'string' || image instanceof URL) {
    const { bytes, name } = await readImageFile(image)
    return decodeBytes(bytes, name)
  }
  // By their types, not by `instanceof`: a Buffer of another realm, such as that of a test runner, is one too.
  if (types.isUint8Array(image)) return decodeBytes(image, NAME_OF_BYTES)
  if (types.isAnyArrayBuffer(image)) return decodeBytes(new Uint8Array(image), NAME_OF_BYTES)
  if (isSharp(image)) return decodeInstance(image)
  if (isRawImage(image)) return fromRawPixels(image)
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `An image was expected, but got ${kindOf(image)}.`, {
    fix: wayFor(image),
  })
}

/** What to do with things that hold an image, but are none. */
function wayFor(value: unknown): string {
  const has = (...names: PropertyKey[]) =>
    typeof value === 'object' && value !== null && names.every((name) => name in value)
  if (types.isPromise(value)) return 'Await it first.'
  if (has('arrayBuffer')) return 'Pass its bytes: await value.arrayBuffer().' // Blob, File, Response
  if (has('getReader')) return 'Read it first: await new Response(stream).arrayBuffer().'
  if (has('pipe') || has(Symbol.asyncIterator)) {
    return "Read it first: await buffer(stream), from 'node:stream/consumers'."
  }
  if (has('data', 'info')) return 'Pass { data, ...info }.'
  if (has('toBuffer')) return 'Pass what its toBuffer() gives.'
  if (ArrayBuffer.isView(value))
    return 'Pass the bytes of a file as a Uint8Array, or pixels as { data, width, height, channels }.'
  return 'Pass a file path, a file: URL, encoded bytes, { data, width, height, channels } or a sharp instance.'
}
