/** Results as JSON: masks as COCO RLE or as polygons. */
import type { Box, Instance, Mask, Polygon, Prediction, Segmentation } from 'sam3-node'

/** How masks are written. */
export interface MaskForm {
  form: 'rle' | 'polygons'
  /** Of polygons, in pixels. */
  tolerance?: number
}

export type MaskJson =
  | { area: number; mask: { size: [height: number, width: number]; counts: string } }
  | { area: number; polygons: Polygon[] }

/** One mask. */
export function maskJson(mask: Mask, { form, tolerance }: MaskForm): MaskJson {
  const { area } = mask
  if (form === 'polygons') return { area, polygons: mask.toPolygons({ tolerance }) }
  return { area, mask: mask.toRle() }
}

export type InstanceJson = MaskJson & { score: number; box: Box }

export function instanceJson({ score, box, mask }: Instance, form: MaskForm): InstanceJson {
  return { score, box, ...maskJson(mask, form) }
}

/** What was found for one prompt, without its instances. */
export interface ResultHead {
  /** The text of the prompt; absent for one of exemplars only. */
  text?: string
  presence: number
  semantic?: MaskJson
  warnings: string[]
}

export function resultHead(text: string | undefined, result: Segmentation, form: MaskForm): ResultHead {
  const { presence, semantic, warnings } = result
  return { text, presence, semantic: semantic && maskJson(semantic, form), warnings }
}

/** An image with what was found on it, a result for each prompt. */
export function imageJson(texts: readonly (string | undefined)[], results: readonly Segmentation[], form: MaskForm) {
  const { width, height } = results[0]!
  return {
    width,
    height,
    results: results.map((result, index) => ({
      ...resultHead(texts[index], result, form),
      instances: result.instances.map((instance) => instanceJson(instance, form)),
    })),
  }
}

/** The answer to one click prompt, best mask first. */
export function predictionJson({ masks, scores, objectScore }: Prediction, form: MaskForm, logits: boolean) {
  const scored = masks.map((mask, index) => ({ mask, score: scores[index]! })).toSorted((a, b) => b.score - a.score)
  return {
    objectScore,
    masks: scored.map(({ mask, score }) => ({
      score,
      box: mask.box,
      ...maskJson(mask, form),
      ...(logits && mask.logits && { logits: logitsJson(mask.logits) }),
    })),
  }
}

function logitsJson({ data, width }: { data: Float32Array; width: number }) {
  return { size: width, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64') }
}
