/** Results of a video as COCO's format for videos, that of YouTube-VIS, which mask trackers are trained and scored with. */
import { recogniseInAllCopies } from '../../base/same-class.js'
import { parse } from 'node:path'
import { Sam3InputError } from '../../base/errors.js'
import { checkWholeNumber } from '../../base/checks.js'
import { type Categories, CategoryTable, type CocoCategory } from '../../result/categories.js'
import { type CocoRle, stringToRuns, type UncompressedRle } from '../../result/rle.js'
import type { ExportedFrame, ExportedObject } from './types.js'

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
  /**
   * All categories, found or not, so that the same text has the same id in every export: texts, numbered from 1, or
   * `{ id, name }`. Default: the texts of the objects, in the order in which they first appear.
   */
  categories?: Categories | undefined
  /**
   * How masks are written: `'list'` (default), run lengths as numbers, is how YouTube-VIS writes its ground truth and what
   * every reader of it takes; `'string'`, COCO's compressed text, is half as long, but TrackEval does not read it.
   */
  counts?: 'list' | 'string' | undefined
}

/** A data set of one video, with a `score` on every annotation. */
export interface CocoVideoJson {
  /** About the data set. */
  info: Record<'description' | 'version', string>
  /** One. */
  videos: CocoVideoEntry[]
  /** Those of the options, or one per text that found something. */
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
  /** RLE, with its `counts` as they were asked for. */
  segmentations: (CocoRle | UncompressedRle | null)[]
  /** [x, y, width, height] around the mask, in pixels. */
  bboxes: ([number, number, number, number] | null)[]
  /** Set pixels. */
  areas: (number | null)[]
  /** Always 0: each annotation is one object. */
  iscrowd: 0
  /** Probability, 0..1: the object's `score`. */
  score: number
}

/** One object in the list that evaluations read as the results of a tracker. */
export interface CocoVideoResult {
  /** 1. */
  video_id: number
  /** `id` of its category. */
  category_id: number
  /** Probability, 0..1: the object's `score`. */
  score: number
  /** Compressed RLE for each frame, null where the object is not seen. */
  segmentations: (CocoRle | null)[]
}

interface Appearance {
  segmentation: CocoRle
  bbox: [number, number, number, number]
  area: number
}

interface Track {
  category: number
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
  readonly #categories: CategoryTable
  readonly #tracks = new Map<number, Track>()
  #length = 0

  /** @throws Sam3InputError `ERR_INVALID_ARGUMENT` */
  constructor({ fileName, width, height, frameCount, fileNames, categories, counts = 'list' }: CocoVideoInfo) {
    checkWholeNumber(width, 'width', 1)
    checkWholeNumber(height, 'height', 1)
    checkWholeNumber(frameCount, 'frameCount', 1)
    if (typeof fileName !== 'string' || fileName === '' || width === undefined || height === undefined) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'A COCO video needs a fileName, a width and a height.', {
        fix: "Pass { fileName: 'clip.mp4', width: session.width, height: session.height }.",
      })
    }
    if (counts !== 'list' && counts !== 'string') {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', `counts must be 'list' or 'string', not ${String(counts)}.`, {
        fix: "Use 'list' unless what reads it wants compressed RLE.",
      })
    }
    this.#categories = new CategoryTable(categories)
    this.#info = { fileName, width, height, frameCount, fileNames, counts }
  }

  /**
   * Adds what was found on a frame; a second result for the same frame replaces its objects.
   * @throws Sam3InputError `ERR_INVALID_MASK` where a mask has not the size of the video; `ERR_INVALID_ARGUMENT` where an
   * object is of none of the `categories` that were given
   */
  add({ frameIndex, objects }: ExportedFrame): void {
    const { width, height } = this.#info
    for (const { mask, prompt } of objects) {
      if (mask.area > 0) this.#categories.idOf(prompt)
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

  /** What a tracker hands in to be scored against a data set of the same video: `JSON.stringify` it. */
  results(): CocoVideoResult[] {
    const length = this.#frameCount()
    return [...this.#seen()].map(({ category, score, frames }) => ({
      video_id: 1,
      category_id: category,
      score,
      segmentations: Array.from({ length }, (_, index) => frames.get(index)?.segmentation ?? null),
    }))
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
      track = { category: this.#categories.idOf(prompt), score, frames: new Map() }
      this.#tracks.set(id, track)
    }
    const [x0, y0, x1, y1] = mask.box
    track.frames.set(frame, { segmentation: mask.toRle(), bbox: [x0, y0, x1 - x0, y1 - y0], area: mask.area })
  }

  #frameCount(): number {
    return Math.max(this.#length, this.#info.frameCount ?? 0)
  }

  /** Objects that were seen on any frame: a later result may have taken them back. */
  *#seen(): Generator<Track & { id: number }, void, undefined> {
    for (const [id, track] of this.#tracks) if (track.frames.size > 0) yield { id, ...track }
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
      categories: this.#categories.list,
    }
  }

  *#annotations(): Generator<CocoVideoAnnotation, void, undefined> {
    const { width, height, counts } = this.#info
    const length = this.#frameCount()
    const write = (rle: CocoRle) => (counts === 'string' ? rle : { ...rle, counts: [...stringToRuns(rle.counts)] })
    let id = 0
    for (const { id: track_id, category, score, frames } of this.#seen()) {
      const list = <T>(of: (one: Appearance) => T) =>
        Array.from({ length }, (_, index): T | null => {
          const one = frames.get(index)
          return one ? of(one) : null
        })
      yield {
        id: ++id,
        video_id: 1,
        category_id: category,
        track_id,
        width,
        height,
        length,
        segmentations: list((one) => write(one.segmentation)),
        bboxes: list((one) => one.bbox),
        areas: list((one) => one.area),
        iscrowd: 0,
        score,
      }
    }
  }
}
recogniseInAllCopies(CocoVideo, 'CocoVideo')
