/** A model that finds one square in every picture, at a pace that the test sets. */
import { Mask, type Segmentation } from '../../../lib/index.js'
import type { JobModel } from '../../../server/jobs/work/tools.js'

export interface FakeModel extends JobModel {
  /** Texts that were asked for, once for each picture. */
  asked: string[]
  /** Is waited for by each call. */
  gate: (call: number, signal: AbortSignal | undefined) => Promise<void> | void
}

export function fakeModel(): FakeModel {
  const bitmap = Uint8Array.from({ length: 64 }, (_, at) => (at % 8 < 4 && at < 32 ? 1 : 0))
  const model: FakeModel = {
    asked: [],
    gate: () => {},
    segment: async (image, prompts, options) => {
      const call = model.asked.push(Buffer.from(image).toString())
      await model.gate(call, options?.signal)
      options?.signal?.throwIfAborted()
      return prompts.map(
        ({ text }): Segmentation => ({
          width: 8,
          height: 8,
          presence: 1,
          warnings: [],
          instances: [{ score: 0.9, box: [0, 0, 4, 4], mask: Mask.fromBitmap(bitmap, 8, 8), label: text }],
        }),
      )
    },
    startSession: () => Promise.reject(new Error('it has no videos')),
  }
  return model
}
