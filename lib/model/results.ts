/** What the engine gives back, as the objects that users hold. */
import type { NativePrediction, NativeSegmentation } from '../native/addon.js'
import type { NativeMasks } from '../native/values.js'
import type { PreparedPrompt } from '../prompt/text-prompt.js'
import type { Box, MaskLogits } from '../geometry/types.js'
import { Mask } from '../result/mask.js'
import type { Instance, Prediction, Segmentation } from '../result/types.js'

/** One of several masks. */
export function toMask({ width, height, runs, areas, boxes }: NativeMasks, index: number, logits?: MaskLogits): Mask {
  const [x, y, boxWidth, boxHeight] = boxes.subarray(index * 4, index * 4 + 4) as unknown as [
    number,
    number,
    number,
    number,
  ]
  return new Mask(width, height, runs[index]!, areas[index]!, [x, y, x + boxWidth, y + boxHeight], logits)
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
      box: [...native.boxes.subarray(index * 4, index * 4 + 4)] as unknown as Box,
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
