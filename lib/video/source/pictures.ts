/** Frames that are pictures: what a list of images and the pages of one file have in common. */
import sharp from 'sharp'
import { decodeImage } from '../../image/decode.js'
import { decodePages } from '../../image/encoded.js'
import { readImageFile } from '../../image/location.js'
import type { ImageInput, RgbImage } from '../../image/source.js'

/** Pictures of which each is a frame, and of which any can be decoded at any time. */
export interface Pictures {
  readonly count: number
  /** Frames per second, or undefined where they have no fixed rate. */
  readonly frameRate: number | undefined
  /** Seconds since the first one. */
  timeOf(index: number): number
  decode(index: number): Promise<RgbImage>
}

/** Images of any kind, which have no times of their own. */
export function imagePictures(images: readonly ImageInput[], frameRate: number): Pictures {
  return {
    count: images.length,
    frameRate,
    timeOf: (index) => index / frameRate,
    decode: (index) => decodeImage(images[index]!),
  }
}

/**
 * An animation (WebP) can only be decoded from its beginning: a picture by itself costs all that come before it. So it is
 * decoded in runs, of which each takes as much memory as this, and two are kept: that of a frame, and that of the next.
 */
const RUN_BYTES = 32 * 2 ** 20
/** Rows of one picture that the decoder makes of a run. */
const MOST_ROWS = 65_535
/** What browsers make of pictures that are to be shown for no time at all: milliseconds. */
const SHORTEST = 10
const INSTEAD = 100

/** `count` pictures of a file from `page` on, one below the other. */
type DecodePages = (page: number, count: number) => Promise<RgbImage>

/** What the header of a file says. */
interface PagesInfo {
  pages: number
  width: number
  height: number
  /** Milliseconds of each picture of an animation. */
  delay: readonly number[] | undefined
  /** Whether its pictures lie on their side: then they can only be turned one by one. */
  isTurned: boolean
}

/**
 * The pictures of one file: the pages of a TIFF, or the frames of an animation that sharp reads. Undefined where it is
 * a single one, or cannot be read.
 * @param frameRate Of pages, which have no times; an animation has its own.
 */
export async function pagePictures(path: string, frameRate: number): Promise<Pictures | undefined> {
  const { bytes, name } = await readImageFile(path)
  const info = await readInfo(bytes)
  if (!info) return undefined
  const decode: DecodePages = (page, count) => decodePages(bytes, `Picture ${page} of ${name}`, page, count)
  const { pages, delay } = info
  if (!delay) {
    return {
      count: pages,
      frameRate,
      timeOf: (index) => index / frameRate,
      decode: (page) => decode(page, 1),
    }
  }
  const times = timesOf(delay)
  const runs = new Runs(decode, info)
  return {
    count: pages,
    frameRate: isEven(delay) ? 1000 / shownFor(delay[0]!) : undefined,
    timeOf: (index) => times[index]!,
    decode: (index) => runs.decode(index),
  }
}

async function readInfo(bytes: Buffer): Promise<PagesInfo | undefined> {
  const found = await sharp(bytes)
    .metadata()
    .catch(() => undefined) // whoever decodes it says why
  if (!found?.pages || found.pages < 2) return undefined
  const { pages, width, height, pageHeight = height, orientation = 1 } = found
  const delay = found.delay?.length === pages ? found.delay : undefined
  return { pages, width, height: pageHeight, delay, isTurned: orientation > 1 }
}

const shownFor = (delay: number) => (delay > SHORTEST ? delay : INSTEAD)

/** Seconds at which each picture appears. */
function timesOf(delay: readonly number[]): number[] {
  let time = 0
  return delay.map((milliseconds) => {
    const begin = time
    time += shownFor(milliseconds)
    return begin / 1000
  })
}

/** Whether pictures follow each other at one rate; how long the last one stays is no part of it. */
function isEven(delay: readonly number[]): boolean {
  return delay.slice(0, -1).every((one) => shownFor(one) === shownFor(delay[0]!))
}

/** Pictures `from` to `to`, exclusive, that are decoded together. */
interface Run {
  from: number
  to: number
  image: Promise<RgbImage>
}

/** Runs of an animation: forward each begins at the picture that is asked for, backward it ends there. */
class Runs {
  readonly #decode: DecodePages
  readonly #info: PagesInfo
  #length: number
  #kept: Run[] = []

  constructor(decode: DecodePages, info: PagesInfo) {
    this.#decode = decode
    this.#info = info
    const fitting = Math.floor(Math.min(RUN_BYTES / (info.width * info.height * 3), MOST_ROWS / info.height))
    this.#length = info.isTurned ? 1 : Math.max(1, fitting)
  }

  async decode(index: number): Promise<RgbImage> {
    const run = this.#run(index)
    try {
      const { data, width, height } = await run.image
      const rows = height / (run.to - run.from)
      const bytes = rows * width * 3
      const start = (index - run.from) * bytes
      return { data: data.subarray(start, start + bytes), width, height: rows }
    } catch (error) {
      if (run.to - run.from === 1) throw error
      // One picture is damaged. The others can be had one by one.
      this.#length = 1
      this.#kept = []
      return this.decode(index)
    }
  }

  #run(index: number): Run {
    const kept = this.#kept.find(({ from, to }) => index >= from && index < to)
    if (kept) return kept
    const isBackward = this.#kept.length > 0 && index < this.#kept.at(-1)!.from
    const from = isBackward ? Math.max(0, index + 1 - this.#length) : index
    const to = Math.min(from + this.#length, this.#info.pages)
    const image = this.#decode(from, to - from)
    image.catch(() => {}) // told to whoever asks for a picture of it
    const run = { from, to, image }
    this.#kept = [...this.#kept.slice(-1), run]
    return run
  }
}
