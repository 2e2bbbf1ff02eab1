/** Results as a COCO data set, which pycocotools, CVAT, Label Studio and the like read. */
import { Sam3InputError } from '../base/errors.js'
import { checkWholeNumber } from '../base/checks.js'
import { type Categories, CategoryTable, type CocoCategory } from './categories.js'
import { cocoPolygons } from './coco-polygons.js'
import type { CocoRle } from './rle.js'
import type { Instance } from './types.js'
import { shown } from '../base/shown.js'

/** One image and what was found on it. */
export interface CocoEntry {
  /** Name by which the file is known in the data set: its path within the folder of the images, with `/` between folders. */
  fileName: string
  /** Number of the image, as in the data set that results are compared with. Default: its place in the list, from 1. */
  imageId?: number
  /** Pixels in a row. */
  width: number
  /** Rows. */
  height: number
  /** What was found; a `Segmentation` has them. */
  instances: readonly Pick<Instance, 'mask' | 'score' | 'label'>[]
}

/** How {@link toCocoJson} writes. */
export interface CocoOptions {
  /**
   * `'rle'` (default, exact) or `'polygons'`, which are within half a pixel of the true outline. COCO's polygons have no
   * holes: where a mask has one, a cut of no width leads into it.
   */
  segmentation?: 'rle' | 'polygons'
  /**
   * All categories, found or not, so that the same text has the same id in every export: texts, numbered from 1, or
   * `{ id, name }`. Default: the texts of the instances, in the order in which they first appear.
   */
  categories?: Categories
}

/** A COCO data set with a `score` on every annotation. `JSON.stringify` it. */
export interface CocoJson {
  /** About the data set. */
  info: Record<'description' | 'version', string>
  /** One per entry, in their order. */
  images: CocoImage[]
  /** Those of the options, or one per text that found something. */
  categories: CocoCategory[]
  /** One per instance that has a pixel. */
  annotations: CocoAnnotation[]
}

/** One image of a data set. */
export interface CocoImage {
  /** From 1. */
  id: number
  /** The entry's `fileName`. */
  file_name: string
  /** Pixels in a row. */
  width: number
  /** Rows. */
  height: number
}

/** One instance. */
export interface CocoAnnotation {
  /** From 1. */
  id: number
  /** `id` of its image. */
  image_id: number
  /** `id` of its category. */
  category_id: number
  /** [x, y, width, height] around the mask, in pixels; within the image. */
  bbox: [number, number, number, number]
  /** Set pixels. */
  area: number
  /** Compressed RLE, or rings [x, y, x, y, …]. */
  segmentation: CocoRle | number[][]
  /** Always 0: each annotation is one object. */
  iscrowd: 0 | 1
  /** Probability, 0..1. */
  score: number
}

/**
 * Collects results into one COCO data set, which pycocotools, Datumaro (CVAT) and FiftyOne read. Categories are the prompts'
 * texts; what exemplars or clicks find is of the category `'object'`. Ids start at 1. An instance without a pixel is left out:
 * it has no outline, and readers fail on it.
 *
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`, or `ERR_INVALID_MASK` where a mask has not the size of its image
 *
 * @example
 * ```ts
 * const result = await model.segment('truck.jpg', { text: ['wheel', 'door'] })
 * const entry = { fileName: 'truck.jpg', ...result[0], instances: result.flatMap(({ instances }) => instances) }
 * await writeFile('coco.json', JSON.stringify(toCocoJson([entry], { categories: ['wheel', 'door'] })))
 * ```
 */
export function toCocoJson(entries: readonly CocoEntry[], options: CocoOptions = {}): CocoJson {
  const { segmentation = 'rle' } = options
  if (segmentation !== 'rle' && segmentation !== 'polygons') {
    throw new Sam3InputError(
      'ERR_INVALID_ARGUMENT',
      `segmentation must be 'rle' or 'polygons', not ${shown(segmentation)}.`,
      { fix: "Use 'rle' unless your tool reads only polygons." },
    )
  }
  const categories = new CategoryTable(options.categories)
  const images = toImages(entries)
  const annotations: CocoAnnotation[] = []
  for (const [index, { instances }] of entries.entries()) {
    for (const { mask, score, label } of instances) {
      checkSize(mask, images[index]!)
      if (mask.area === 0) continue
      const [x0, y0, x1, y1] = mask.box
      annotations.push({
        id: annotations.length + 1,
        image_id: images[index]!.id,
        category_id: categories.idOf(label),
        bbox: [x0, y0, x1 - x0, y1 - y0],
        area: mask.area,
        segmentation: segmentation === 'rle' ? mask.toRle() : cocoPolygons(mask),
        iscrowd: 0,
        score,
      })
    }
  }
  return {
    info: { description: 'Segmented by SAM 3 through sam3-node', version: '1.0' },
    images,
    categories: categories.list,
    annotations,
  }
}

function toImages(entries: readonly CocoEntry[]): CocoImage[] {
  const ids = new Set<number>()
  return entries.map(({ fileName, imageId, width, height }, index) => {
    const id = checkWholeNumber(imageId, 'imageId', 0) ?? index + 1
    if (ids.has(id)) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', `Two images have the id ${id}.`, {
        fix: 'Give every entry an imageId of its own, or none of them.',
      })
    }
    ids.add(id)
    return { id, file_name: fileName, width, height }
  })
}

function checkSize(mask: CocoEntry['instances'][number]['mask'], { file_name, width, height }: CocoImage): void {
  if (mask.width === width && mask.height === height) return
  throw new Sam3InputError(
    'ERR_INVALID_MASK',
    `A mask of ${mask.width} x ${mask.height} is not of ${file_name}, which has ${width} x ${height} pixels.`,
    { fix: 'Give each entry the width and height of its own result.' },
  )
}
