/** What the engine gives back, as the objects that users hold. */
import type { NativeMasks, NativePrediction, NativeSegmentation } from '../native/contract.js'
import type { PreparedPrompt } from '../prompt/text-prompt.js'
import type { Box, MaskLogits } from '../geometry/types.js'
import { Mask } from '../result/mask.js'
import type { Instance, Prediction, Segmentation } from '../result/types.js'

/** One of several boxes that lie together. */
export function boxAt(boxes: Float32Array | Int32Array, index: number): Box {
  return [...boxes.subarray(index * 4, index * 4 + 4)] as unknown as Box
}

/** One of several masks. */
export function toMask({ width, height, runs, areas, boxes }: NativeMasks, index: number, logits?: MaskLogits): Mask {
  return new Mask(width, height, runs[index]!, areas[index]!, boxAt(boxes, index), logits)
}

function toLogits(data: Float32Array, side: number, index: number): MaskLogits {
  // A copy, so that keeping one mask does not keep the logits of all.
  return { data: data.slice(index * side * side, (index + 1) * side * side), width: side, height: side }
}

/** One prompt's answer. */
export function toSegmentation(
  native: NativeSegmentation,
  prompt: PreparedPrompt,
  width: number,
  height: number,
): Segmentation {
  const instances = Array.from(native.scores, (score, index): Instance => {
    const logits = native.logits && toLogits(native.logits.data, native.logits.size, index)
    const instance: Instance = {
      score,
      box: boxAt(native.boxes, index),
      mask: toMask(native.masks, index, logits),
    }
    if (prompt.text !== undefined) instance.label = prompt.text
    return instance
  })
  const result: Segmentation = { width, height, instances, presence: native.presence, warnings: prompt.warnings }
  if (native.semantic) result.semantic = toMask(native.semantic, 0)
  return result
}

/** The answers to all prompt sets of one call. */
export function toPredictions(native: NativePrediction, width: number, height: number): Prediction[] {
  const sets = native.objectScores.length
  const perSet = native.ious.length / sets
  return Array.from(native.objectScores, (objectScore, set) => {
    const indices = Array.from({ length: perSet }, (_, k) => set * perSet + k)
    const masks = indices.map((index) => toMask(native.masks, index, toLogits(native.lowRes, native.size, index)))
    const scores = indices.map((index) => native.ious[index]!)
    const best = scores.indexOf(Math.max(...scores))
    return { width, height, masks, scores, objectScore, best: { mask: masks[best]!, score: scores[best]! } }
  })
}
