/** Results of a video as COCO's format for videos, that of YouTube-VIS, which mask trackers are trained and scored with. */
import { recogniseInAllCopies } from '../../same-class.js'
import { parse } from 'node:path'
import { Sam3InputError } from '../../errors.js'
import { checkWholeNumber } from '../../prompt/checks.js'
import type { CocoCategory } from '../../result/coco.js'
import type { CocoRle } from '../../result/rle.js'
import { type ExportedFrame, type ExportedObject, UNNAMED } from './types.js'

/** The video that the results are about. */
export interface CocoVideoInfo {
  /** Name by which the video is known in the data set. */
  fileName: string
  /** Pixels in a row. */
  width: number
  /** Rows. */
  height: number
  /** Number of frames. Default: up to the last one with a result. */
  frameCount?: number | undefined
  /** Names of the frames. Default: as if they were extracted into a folder named like the video: `clip/00000.jpg`. */
  fileNames?: readonly string[]
}

/** A data set of one video, with a `score` on every annotation. */
export interface CocoVideoJson {
  /** About the data set. */
  info: Record<'description' | 'version', string>
  /** One. */
  videos: CocoVideoEntry[]
  /** One per text. */
  categories: CocoCategory[]
  /** One per object. */
  annotations: CocoVideoAnnotation[]
}

/** The video of a data set. */
export interface CocoVideoEntry {
  /** 1. */
  id: number
  /** The `fileName`. */
  name: string
  /** Pixels in a row. */
  width: number
  /** Rows. */
  height: number
  /** Number of frames. */
  length: number
  /** One per frame. */
  file_names: string[]
}

/** One object through the whole video. The three lists have one entry per frame, null where the object is not seen. */
export interface CocoVideoAnnotation {
  /** From 1. */
  id: number
  /** 1. */
  video_id: number
  /** `id` of its category. */
  category_id: number
  /** The object's id in the session. */
  track_id: number
  /** Pixels in a row. */
  width: number
  /** Rows. */
  height: number
  /** Number of frames. */
  length: number
  /** Compressed RLE. */
  segmentations: (CocoRle | null)[]
  /** [x, y, width, height] around the mask, in pixels. */
  bboxes: ([number, number, number, number] | null)[]
  /** Set pixels. */
  areas: (number | null)[]
  /** Always 0: each annotation is one object. */
  iscrowd: 0
  /** Probability, 0..1: the object's `score`. */
  score: number
}

interface Appearance {
  segmentation: CocoRle
  bbox: [number, number, number, number]
  area: number
}

interface Track {
  category: string
  score: number
  frames: Map<number, Appearance>
}

/**
 * Collects the results of a video, frame by frame and in any order. It keeps the run lengths of every mask, about a
 * kilobyte for each object and frame, because the format lists all frames of one object before the next object.
 *
 * @example
 * ```ts
 * const coco = new CocoVideo({ fileName: 'clip.mp4', ...session })
 * for await (const result of session.propagate()) coco.add(result)
 * await writeFile('clip.json', coco.chunks())
 * ```
 */
export class CocoVideo {
  readonly #info: CocoVideoInfo
  readonly #tracks = new Map<number, Track>()
  #length = 0

  /** @throws Sam3InputError `ERR_INVALID_ARGUMENT` */
  constructor({ fileName, width, height, frameCount, fileNames }: CocoVideoInfo) {
    checkWholeNumber(width, 'width', 1)
    checkWholeNumber(height, 'height', 1)
    checkWholeNumber(frameCount, 'frameCount', 1)
    if (typeof fileName !== 'string' || fileName === '' || width === undefined || height === undefined) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'A COCO video needs a fileName, a width and a height.', {
        fix: "Pass { fileName: 'clip.mp4', width: session.width, height: session.height }.",
      })
    }
    this.#info = { fileName, width, height, frameCount, fileNames }
  }

  /**
   * Adds what was found on a frame; a second result for the same frame replaces its objects.
   * @throws Sam3InputError `ERR_INVALID_MASK` where a mask has not the size of the video
   */
  add({ frameIndex, objects }: ExportedFrame): void {
    const { width, height } = this.#info
    for (const { mask } of objects) {
      if (mask.width === width && mask.height === height) continue
      throw new Sam3InputError(
        'ERR_INVALID_MASK',
        `A mask of ${mask.width} x ${mask.height} is not of a video of ${width} x ${height}.`,
        { fix: 'Collect each video by itself.' },
      )
    }
    this.#length = Math.max(this.#length, frameIndex + 1)
    for (const track of this.#tracks.values()) track.frames.delete(frameIndex)
    for (const object of objects) if (object.mask.area > 0) this.#addObject(frameIndex, object)
  }

  /** The whole data set. */
  toJSON(): CocoVideoJson {
    return { ...this.#head(), annotations: [...this.#annotations()] }
  }

  /** The text of the data set in pieces, for videos of which it would be too long for one string. */
  *chunks(): Generator<string, void, undefined> {
    yield `${JSON.stringify(this.#head()).slice(0, -1)},"annotations":[`
    let separator = ''
    for (const annotation of this.#annotations()) {
      yield separator + JSON.stringify(annotation)
      separator = ','
    }
    yield ']}\n'
  }

  #addObject(frame: number, { id, prompt, score, mask }: ExportedObject): void {
    let track = this.#tracks.get(id)
    if (!track) {
      track = { category: prompt ?? UNNAMED, score, frames: new Map() }
      this.#tracks.set(id, track)
    }
    const [x0, y0, x1, y1] = mask.box
    track.frames.set(frame, { segmentation: mask.toRle(), bbox: [x0, y0, x1 - x0, y1 - y0], area: mask.area })
  }

  #frameCount(): number {
    return Math.max(this.#length, this.#info.frameCount ?? 0)
  }

  #categories(): string[] {
    return [...new Set([...this.#tracks.values()].map(({ category }) => category))]
  }

  #head(): Omit<CocoVideoJson, 'annotations'> {
    const { fileName, width, height, fileNames } = this.#info
    const length = this.#frameCount()
    const folder = parse(fileName).name
    const nameOf = (index: number) => fileNames?.[index] ?? `${folder}/${String(index).padStart(5, '0')}.jpg`
    const file_names = Array.from({ length }, (_, index) => nameOf(index))
    return {
      info: { description: 'Tracked by SAM 3 through sam3-node', version: '1.0' },
      videos: [{ id: 1, name: fileName, width, height, length, file_names }],
      categories: this.#categories().map((name, index) => ({ id: index + 1, name, supercategory: UNNAMED })),
    }
  }

  *#annotations(): Generator<CocoVideoAnnotation, void, undefined> {
    const { width, height } = this.#info
    const length = this.#frameCount()
    const categories = this.#categories()
    let id = 0
    for (const [track_id, { category, score, frames }] of this.#tracks) {
      if (frames.size === 0) continue
      const list = <T>(of: (one: Appearance) => T) =>
        Array.from({ length }, (_, index): T | null => {
          const one = frames.get(index)
          return one ? of(one) : null
        })
      yield {
        id: ++id,
        video_id: 1,
        category_id: categories.indexOf(category) + 1,
        track_id,
        width,
        height,
        length,
        segmentations: list((one) => one.segmentation),
        bboxes: list((one) => one.bbox),
        areas: list((one) => one.area),
        iscrowd: 0,
        score,
      }
    }
  }
}
recogniseInAllCopies(CocoVideo, 'CocoVideo')
