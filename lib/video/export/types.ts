/** What the exports need of the results of a propagation. A `FrameResult` has it. */
import type { Box } from '../../geometry/types.js'
import type { Mask } from '../../result/mask.js'

/** An object on one frame. */
export interface ExportedObject {
  /** The same through the whole video. */
  id: number
  /** The text that found it; absent for clicks, masks and exemplars. */
  prompt?: string | undefined
  /** How sure it is that this is one of what was asked for, 0..1. */
  score: number
  /** How sure it is that the object is on this frame, 0..1. */
  trackerScore: number
  /** [x0, y0, x1, y1] in pixels. */
  box: Box
  /** Which pixels belong to it. */
  mask: Mask
}

/** What was found on one frame. */
export interface ExportedFrame {
  /** From 0. */
  frameIndex: number
  /** In any order. */
  objects: readonly ExportedObject[]
}
