/** Results as a picture: drawn over the image, or as a map of which pixel belongs to which instance. */
import { type Mask, overlay, type OverlayInstance, type RawImage, Sam3ServiceError } from 'sam3-node'
import sharp from 'sharp'
import { OWN_PIXELS, rendered } from '../../../lib/image/render.js'

/** @param image What was asked; an image that is kept on the device has no pixels here. */
export async function overlayPng(image: RawImage | undefined, instances: readonly OverlayInstance[]): Promise<Buffer> {
  if (!image) {
    throw new Sam3ServiceError('ERR_NOT_ACCEPTABLE', 'Of a kept image only its features are here, not its pixels.', {
      fix: 'Ask for "labels" or JSON, or send the image itself.',
    })
  }
  return overlay(image, instances)
}

/**
 * A greyscale PNG: 0 where nothing is, else the number of the instance, from 1, as in JSON. Where several cover a pixel,
 * the first one has it. 8 bits up to 255 instances, else 16.
 */
export async function labelsPng(width: number, height: number, masks: readonly Mask[]): Promise<Buffer> {
  const isWide = masks.length > 255
  const labels = isWide ? new Uint16Array(width * height) : new Uint8Array(width * height)
  for (const [index, mask] of [...masks.entries()].reverse()) {
    for (const [at, value] of mask.toBitmap().entries()) if (value) labels[at] = index + 1
  }
  const raw = { width, height, channels: 1 } as const
  const picture = sharp(labels, { ...OWN_PIXELS, raw })
    .toColourspace(isWide ? 'grey16' : 'b-w')
    .png({ compressionLevel: 9 })
  return rendered(picture.toBuffer(), 'The map of labels')
}
