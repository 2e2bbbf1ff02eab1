/** The recorded runs of the reference on videos, and how close ours must come. */
import { expect } from 'vitest'
import type { FrameResult, TrackedObject } from '../../lib/index.js'
import { largestDifference, resizeBilinear } from './compare.js'

/** Largest differences allowed, absolute. */
export const SCORE = 1e-4
export const LOGIT = 2e-3

/** The objects of a result that have these ids. */
export function objectsOf({ objects }: FrameResult, ids: readonly number[]): TrackedObject[] {
  expect(objects.map(({ id }) => id)).toEqual(ids)
  return objects
}

/**
 * Compares packed masks [N, ceil(H * W / 8)] with ours. A pixel may differ where its logit is within {@link LOGIT} of 0.
 */
export function compareMasks(objects: readonly TrackedObject[], bits: Uint8Array): void {
  const length = objects[0] ? Math.ceil((objects[0].mask.width * objects[0].mask.height) / 8) : 0
  expect(bits).toHaveLength(objects.length * length)
  for (const [row, { id, mask }] of objects.entries()) {
    const ours = mask.toPacked()
    const theirs = bits.subarray(row * length, (row + 1) * length)
    let logits: Float32Array | undefined
    const wrong: number[] = []
    for (let byte = 0; byte < length; byte++) {
      const difference = ours[byte]! ^ theirs[byte]!
      for (let bit = 0; difference && bit < 8; bit++) {
        if (!(difference & (0x80 >> bit))) continue
        logits ??= resizeBilinear(mask.logits!.data, mask.logits!.width, mask.width, mask.height)
        const pixel = byte * 8 + bit
        if (Math.abs(logits[pixel]!) > LOGIT) wrong.push(pixel)
      }
    }
    expect(wrong, `pixels of object ${id} that differ`).toEqual([])
  }
}

/** Compares low-resolution logits [N, side, side] with ours. */
export function compareLogits(objects: readonly TrackedObject[], lowRes: Float32Array): void {
  const cells = objects[0]?.mask.logits?.data.length ?? 0
  expect(lowRes).toHaveLength(objects.length * cells)
  for (const [row, { id, mask }] of objects.entries()) {
    const theirs = lowRes.subarray(row * cells, (row + 1) * cells)
    expect(largestDifference(mask.logits!.data, theirs), `logits of object ${id}`).toBeLessThan(LOGIT)
  }
}
