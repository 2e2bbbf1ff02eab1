/** What a session gives back for a frame. */
import { boxAt, toMask } from '../../model/results.js'
import type { NativeFrameResult } from '../../native/contract.js'
import type { Box, MaskLogits } from '../../geometry/types.js'
import type { Mask } from '../../result/mask.js'

/** One object on one frame. */
export interface TrackedObject {
  /** The same on every frame. Ids of found objects count up from 0; those of clicked ones are the caller's. */
  id: number
  /** The text that found it; absent for objects of exemplars, clicks and masks. */
  prompt?: string
  /** Which prompt of the session found it (`promptIndex` of `addPrompt`); absent for clicked objects. */
  promptIndex?: number
  /**
   * How sure the detector was when it first found the object, 0..1; 1 for one that was clicked. In a session of clicks
   * only: the probability that the object is in this frame.
   */
  score: number
  /** The tracker's probability that the object is in this frame, 0..1. */
  trackerScore: number
  /** The same as a logit: below 0 means that the object is probably hidden or gone. */
  objectScore: number
  /**
   * Smallest box around the object in pixels, [x0, y0, x1, y1] with x1 and y1 exclusive, before pixels that several
   * objects claim are given to one of them; [0, 0, 0, 0] for an empty mask.
   */
  box: Box
  /** Which pixels of the frame belong to it; has `logits` where the session was started with `logits: true`. */
  mask: Mask
}

/** The objects of one frame. */
export interface FrameResult {
  /** Position of the frame in the video, from 0. */
  frameIndex: number
  /** Seconds since the first frame. */
  timestamp: number
  /** Width of the video in pixels. */
  width: number
  /** Height of the video in pixels. */
  height: number
  /** By id. Objects of prompts only where their mask is not empty; clicked ones always. */
  objects: TrackedObject[]
  /** Objects that the session follows, those that are not shown on this frame included. */
  tracked: number
  /** Detections that were dropped because of `maxNumObjects`. */
  dropped: number
}

/** The answer to `addPrompt`. */
export interface PromptResult extends FrameResult {
  /** Names the prompt in `removePrompt` and in the objects that it finds. */
  promptIndex: number
  /** What the caller should know, such as a text that was cut off. Usually empty. */
  warnings: string[]
}

/** What of a result the engine does not know. */
export interface FrameContext {
  width: number
  height: number
  /** Seconds of a frame. */
  timestamp(frameIndex: number): number
  /** Texts by concept; undefined for exemplars only. */
  texts: ReadonlyMap<number, string | undefined>
}

function toLogits(data: Float32Array | undefined): MaskLogits | undefined {
  if (!data) return undefined
  const side = Math.sqrt(data.length)
  return { data, width: side, height: side }
}

function toTrackedObject(native: NativeFrameResult, index: number, texts: FrameContext['texts']): TrackedObject {
  const mask = toMask(native.masks, index, toLogits(native.logits[index]))
  const promptIndex = native.concepts[index]!
  const text = texts.get(promptIndex)
  return {
    id: native.ids[index]!,
    ...(text === undefined ? {} : { prompt: text }),
    ...(promptIndex < 0 ? {} : { promptIndex }),
    score: native.scores[index]!,
    trackerScore: native.trackerScores[index]!,
    objectScore: native.objectLogits[index]!,
    box: boxAt(native.boxes, index),
    mask,
  }
}

/** One frame's result. */
export function toFrameResult(native: NativeFrameResult, context: FrameContext): FrameResult {
  return {
    frameIndex: native.frame,
    timestamp: context.timestamp(native.frame),
    width: context.width,
    height: context.height,
    objects: Array.from(native.ids, (_, index) => toTrackedObject(native, index, context.texts)),
    tracked: native.tracked,
    dropped: native.dropped,
  }
}
