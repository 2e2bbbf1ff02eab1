/** Raw pixels to RGB bytes. */
import { types } from 'node:util'
import { Sam3InputError } from '../base/errors.js'
import { kindOf, shown } from '../base/shown.js'
import type { RawImage, RgbImage } from './source.js'

/** Largest side in pixels: far above any camera, low enough that `width * height * 3` stays a safe array length. */
const MAX_SIDE = 65_535

function checkSide(name: string, value: unknown): asserts value is number {
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > MAX_SIDE) {
    throw new Sam3InputError(
      'ERR_INVALID_IMAGE',
      `The ${name} of a raw image must be a whole number from 1 to ${MAX_SIDE}, not ${shown(value)}.`,
      { fix: 'Pass the size that the pixels really have.' },
    )
  }
}

/**
 * Checks raw pixels and gives them as RGB bytes. Grey is copied to all three channels, alpha is dropped without
 * blending (as Pillow's `convert('RGB')` does), 16-bit values are scaled by 255/65535.
 * @throws Sam3InputError `ERR_INVALID_IMAGE` for a size, channel count or buffer length that does not fit.
 */
export function fromRawPixels(image: RawImage): RgbImage {
  const { data, width, height, channels } = image
  checkSide('width', width)
  checkSide('height', height)
  if (![1, 2, 3, 4].includes(channels)) {
    throw new Sam3InputError('ERR_INVALID_IMAGE', `A raw image has 1, 2, 3 or 4 channels, not ${shown(channels)}.`, {
      fix: 'Pass channels: 1 (grey), 2 (grey + alpha), 3 (RGB) or 4 (RGB + alpha).',
    })
  }
  if (!(types.isUint8Array(data) || types.isUint8ClampedArray(data) || types.isUint16Array(data))) {
    throw new Sam3InputError(
      'ERR_INVALID_IMAGE',
      `The data of a raw image must be a Uint8Array, Uint8ClampedArray or Uint16Array, not ${kindOf(data)}.`,
      { fix: 'Scale the values to 0..255 (or 0..65535) and copy them into one of these.' },
    )
  }
  const expected = width * height * channels
  if (data.length !== expected) {
    throw new Sam3InputError(
      'ERR_INVALID_IMAGE',
      `A raw image of ${width} x ${height} with ${channels} channel${channels > 1 ? 's' : ''} needs ${expected} values, but its data has ${data.length}.`,
      { fix: 'Check width, height, channels and that rows are not padded.' },
    )
  }
  // The engine reads the bytes on its own thread, where memory shared with other threads must not be seen changing.
  const shared = typeof SharedArrayBuffer !== 'undefined' && data.buffer instanceof SharedArrayBuffer
  if (channels === 3 && !types.isUint16Array(data) && !shared) {
    return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), width, height }
  }

  const rgb = new Uint8Array(width * height * 3)
  const scale = types.isUint16Array(data) ? 255 / 65535 : 1
  const grey = channels < 3
  for (let from = 0, to = 0; to < rgb.length; from += channels, to += 3) {
    rgb[to] = Math.round(data[from]! * scale)
    rgb[to + 1] = Math.round(data[grey ? from : from + 1]! * scale)
    rgb[to + 2] = Math.round(data[grey ? from : from + 2]! * scale)
  }
  return { data: rgb, width, height }
}
