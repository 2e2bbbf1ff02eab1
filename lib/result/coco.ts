/** Results as a COCO data set, which pycocotools, CVAT, Label Studio and the like read. */
import { Sam3InputError } from '../errors.js'
import type { CocoRle } from './rle.js'
import type { Instance } from './types.js'
import { shown } from '../shown.js'

/** One image and what was found on it. */
export interface CocoEntry {
  /** Name by which the file is known in the data set. */
  fileName: string
  /** Pixels in a row. */
  width: number
  /** Rows. */
  height: number
  /** What was found; a `Segmentation` has them. */
  instances: readonly Pick<Instance, 'mask' | 'score' | 'box' | 'label'>[]
}

/** How {@link toCocoJson} writes. */
export interface CocoOptions {
  /** `'rle'` (default, exact) or `'polygons'` (outlines only: COCO's polygons have no holes). */
  segmentation?: 'rle' | 'polygons'
}

/** A COCO data set with a `score` on every annotation. `JSON.stringify` it. */
export interface CocoJson {
  /** About the data set. */
  info: Record<'description' | 'version', string>
  /** One per entry, in their order. */
  images: CocoImage[]
  /** One per text. */
  categories: CocoCategory[]
  /** One per instance. */
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

/** One concept of a data set. */
export interface CocoCategory {
  /** From 1. */
  id: number
  /** The text of the prompt. */
  name: string
  /** Always `'object'`. */
  supercategory: string
}

/** One instance. */
export interface CocoAnnotation {
  /** From 1. */
  id: number
  /** `id` of its image. */
  image_id: number
  /** `id` of its category. */
  category_id: number
  /** [x, y, width, height] around the mask, in pixels. */
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

/** Name of the category of instances that were found by exemplars only. */
const UNNAMED = 'object'

/**
 * Collects results into one COCO data set. Categories are the prompts' texts; ids start at 1.
 *
 * @example
 * ```ts
 * const result = await model.segment('truck.jpg', { text: 'wheel' })
 * await writeFile('coco.json', JSON.stringify(toCocoJson([{ fileName: 'truck.jpg', ...result }])))
 * ```
 */
export function toCocoJson(entries: readonly CocoEntry[], options: CocoOptions = {}): CocoJson {
  const { segmentation = 'rle' } = options
  if (segmentation !== 'rle' && segmentation !== 'polygons') {
    throw new Sam3InputError(
      'ERR_INVALID_ARGUMENT',
      `segmentation must be 'rle' or 'polygons', not ${shown(segmentation)}.`,
      {
        fix: "Use 'rle' unless your tool reads only polygons.",
      },
    )
  }
  const categoryIds = new Map<string, number>()
  const annotations: CocoAnnotation[] = []
  entries.forEach(({ instances }, imageIndex) => {
    for (const { mask, score, box, label = UNNAMED } of instances) {
      const categoryId = categoryIds.get(label) ?? categoryIds.size + 1
      categoryIds.set(label, categoryId)
      const [x0, y0, x1, y1] = mask.area > 0 ? mask.box : box
      annotations.push({
        id: annotations.length + 1,
        image_id: imageIndex + 1,
        category_id: categoryId,
        bbox: [x0, y0, x1 - x0, y1 - y0],
        area: mask.area,
        segmentation:
          segmentation === 'rle'
            ? mask.toRle()
            : mask.toPolygons({ tolerance: 0.5 }).map(({ outline }) => outline.flat()),
        iscrowd: 0,
        score,
      })
    }
  })
  return {
    info: { description: 'Segmented by SAM 3 through sam3-node', version: '1.0' },
    images: entries.map(({ fileName, width, height }, index) => ({
      id: index + 1,
      file_name: fileName,
      width,
      height,
    })),
    categories: [...categoryIds].map(([name, id]) => ({ id, name, supercategory: UNNAMED })),
    annotations,
  }
}
