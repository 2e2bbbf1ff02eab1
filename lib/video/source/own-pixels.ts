/** Decoding a frame that its giver may write over. */
import { decodeImage } from '../../image/decode.js'
import { type ImageInput, isRawImage, type RgbImage } from '../../image/source.js'

/**
 * Decodes an image into memory of its own. Raw pixels are copied: a camera or a generator fills the same buffer again
 * for its next frame.
 * @throws As `decodeImage`
 */
export async function ownPixels(image: ImageInput): Promise<RgbImage> {
  const raw = isRawImage(image) ? { ...image, data: image.data?.slice?.() ?? image.data } : image
  return decodeImage(raw)
}
