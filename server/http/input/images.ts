/** The images of a request: decoded within the limits of the service. */
import {
  type CallOptions,
  type EncodedImage,
  type RawImage,
  type Sam3ImageModel,
  Sam3InputError,
  Sam3ServiceError,
} from 'sam3-node'
import sharp, { type Metadata } from 'sharp'
import { decodeImage } from '../../../lib/image/decode.js'
import type { Service } from '../service.js'
import type { RequestInput } from './read.js'
import type { Lent } from '../../pool/kept-images.js'
import type { Ticket } from '../../pool/pool.js'
import type { ImageReference } from '../schemas.js'

/** An image to ask: its pixels, or what an earlier request left on the device of a model. */
export type AskedImage = { pixels: RawImage; kept?: undefined } | { kept: Lent; pixels?: undefined }

/** Runs `ask` with an image on a model; a kept image on the one that has it. */
export async function askImage<T>(
  { pixels, kept }: AskedImage,
  ticket: Ticket,
  { pool }: Service,
  ask: (model: Sam3ImageModel, image: RawImage | EncodedImage, options: CallOptions) => Promise<T>,
): Promise<T> {
  if (!kept) return pool.run(ticket, (model, options) => ask(model, pixels, options))
  try {
    return await pool.run({ ...ticket, model: kept.model }, (model, options) => ask(model, kept.image, options))
  } finally {
    kept.release()
  }
}

/** Formats that hold pixels. Drawings (SVG) are programs, which may take any time. */
const FORMATS: ReadonlySet<string> = new Set(['jpeg', 'png', 'webp', 'gif', 'tiff', 'heif', 'jp2k', 'jxl'])

/** The images that a request names, those in its files first, each as a promise of its bytes. */
export function imagesOf(
  { files }: Pick<RequestInput, 'files'>,
  { image, images = [] }: { image?: ImageReference; images?: readonly ImageReference[] },
  service: Service,
): (Buffer | ImageReference)[] {
  const all = [...files, ...(image === undefined ? [] : [image]), ...images]
  const { maxImages } = service.config
  if (all.length === 0) {
    throw new Sam3ServiceError('ERR_BAD_REQUEST', 'The request has no image.', {
      fix: 'Send a file named "image", base64 in "image", or an image as the body.',
    })
  }
  if (all.length > maxImages) {
    throw new Sam3ServiceError(
      'ERR_TOO_LARGE',
      `The request has ${all.length} images; ${maxImages} are taken at once.`,
      {
        fix: 'Send them in several requests.',
      },
    )
  }
  return all
}

/**
 * The image of a request that is about one.
 * @param what Says so, for the error where several came.
 */
export function imageOf(
  input: Pick<RequestInput, 'files'>,
  asked: { image?: ImageReference; images?: readonly ImageReference[] },
  service: Service,
  what: string,
  fix = 'Send a request for each image.',
): Buffer | ImageReference {
  const [image, ...more] = imagesOf(input, asked, service)
  if (more.length > 0) throw new Sam3ServiceError('ERR_BAD_REQUEST', `${what}, and several came.`, { fix })
  return image!
}

/**
 * Brings one image into memory.
 * @throws Sam3ServiceError `ERR_TOO_LARGE`, `ERR_BAD_REQUEST`, `ERR_NOT_FOUND`; Sam3InputError `ERR_INVALID_IMAGE`
 */
export async function openImage(
  source: Buffer | ImageReference,
  service: Service,
  signal: AbortSignal,
): Promise<AskedImage> {
  if (Buffer.isBuffer(source)) return { pixels: await decodeWithin(source, service) }
  if (typeof source === 'string') return { pixels: await decodeWithin(fromBase64(source), service) }
  if ('id' in source) return { kept: service.images.lend(source.id) }
  const { fetchImage } = service
  if (!fetchImage) {
    throw new Sam3ServiceError('ERR_BAD_REQUEST', 'This service does not fetch images from addresses.', {
      fix: 'Send the bytes of the image.',
    })
  }
  return { pixels: await decodeWithin(await fetchImage(source.url, signal), service) }
}

/**
 * Brings the pixels of one image into memory.
 * @throws As {@link openImage}, and Sam3ServiceError `ERR_BAD_REQUEST` for a kept image
 */
export async function openPixels(
  source: Buffer | ImageReference,
  service: Service,
  signal: AbortSignal,
): Promise<RawImage> {
  const { pixels, kept } = await openImage(source, service, signal)
  if (pixels) return pixels
  kept.release()
  throw new Sam3ServiceError('ERR_BAD_REQUEST', 'Of a kept image only its features are here, not its pixels.', {
    fix: 'Send the image itself.',
  })
}

function fromBase64(text: string): Buffer {
  return Buffer.from(text.replace(/^data:[^,]{0,200};base64,/, ''), 'base64')
}

async function decodeWithin(bytes: Uint8Array, { config, metrics }: Service): Promise<RawImage> {
  await checkHead(bytes, config.maxPixels)
  const { data, width, height } = await metrics.time('decode', () => decodeImage(bytes))
  return { data, width, height, channels: 3 }
}

/** What the head of a file promises, before a pixel of it is decoded. What has no head gets its error where it is decoded. */
async function checkHead(bytes: Uint8Array, maxPixels: number): Promise<void> {
  const head = await readHead(bytes).catch(() => undefined)
  if (!head) return
  if (!FORMATS.has(head.format)) {
    throw new Sam3InputError(
      'ERR_INVALID_IMAGE',
      `The image is of the format ${head.format}, which is not taken here.`,
      {
        fix: 'Send JPEG, PNG, WebP, TIFF, AVIF or GIF.',
      },
    )
  }
  const pixels = head.width * head.height
  if (pixels > maxPixels) {
    throw new Sam3ServiceError(
      'ERR_TOO_LARGE',
      `The image has ${head.width} x ${head.height} pixels; at most ${maxPixels} are taken.`,
      { fix: 'Scale it down, or cut it into tiles.' },
    )
  }
}

/** Rejects, and never throws, whatever the bytes are: sharp throws at once where there are none. */
async function readHead(bytes: Uint8Array): Promise<Metadata> {
  return sharp(bytes, { limitInputPixels: false, limitInputChannels: 0, failOn: 'none' }).metadata()
}
