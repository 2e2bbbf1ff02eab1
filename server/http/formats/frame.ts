/** The objects of a frame of a video, as JSON. */
import type { FrameResult, PromptResult } from 'sam3-node'
import { type MaskForm, maskJson } from './json.js'

export function frameJson(result: FrameResult | PromptResult, form: MaskForm) {
  return {
    ...result,
    objects: result.objects.map(({ id, prompt, promptIndex, score, trackerScore, box, mask }) => ({
      id,
      prompt,
      promptIndex,
      score,
      trackerScore,
      box,
      ...maskJson(mask, form),
    })),
  }
}
