/** What the library accepts as an image, and how each kind is told from the others. */
import type { Sharp } from 'sharp'

/** Pixels as they are: rows top to bottom, channels interleaved, no padding. */
export interface RawImage {
  /**
   * `width * height * channels` values. 8-bit values are used as they are; 16-bit values are scaled to 8 bits.
   * With three 8-bit channels the buffer is read without a copy, so leave it unchanged until the call settles.
   */
  data: Uint8Array | Uint8ClampedArray | Uint16Array
  /** Pixels in a row. */
  width: number
  /** Rows. */
  height: number
  /** 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha. Alpha is dropped, as the reference does. */
  channels: 1 | 2 | 3 | 4
}

/**
 * Anything that can be segmented: a file path, a `file:` URL, the bytes of an encoded image (JPEG, PNG, WebP, TIFF,
 * AVIF, GIF, whatever sharp reads), raw pixels, or a sharp instance.
 */
export type ImageInput = string | URL | Uint8Array | ArrayBuffer | RawImage | Sharp

/** The image as a person sees it: RGB bytes, `width * height * 3`. The engine reads them on its own thread: they must not change until the call settles. */
export interface RgbImage {
  data: Uint8Array
  width: number
  height: number
}

/** A sharp instance, of whatever copy of sharp the caller uses (so `instanceof` would not do). */
export function isSharp(value: unknown): value is Sharp {
  const candidate = value as Partial<Sharp> | null
  return (
    typeof candidate === 'object' &&
    candidate !== null &&
    typeof candidate.metadata === 'function' &&
    typeof candidate.clone === 'function' &&
    typeof candidate.toBuffer === 'function'
  )
}

/** An object that means to be raw pixels; whether its numbers fit is checked when it is read. */
export function isRawImage(value: unknown): value is RawImage {
  return typeof value === 'object' && value !== null && 'data' in value && 'width' in value && 'height' in value
}
