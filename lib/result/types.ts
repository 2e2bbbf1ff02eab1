/** What the calls give back. */
import type { Box } from '../geometry/types.js'
import type { Mask } from './mask.js'

/** One object that was found. */
export interface Instance {
  /** Probability that this is an instance of the concept, 0..1. */
  score: number
  /** The detector's box in pixels, [x0, y0, x1, y1]; may reach over the edge of the image, as in the reference. */
  box: Box
  /** Which pixels belong to it. */
  mask: Mask
  /** The text that found it; absent for a prompt of exemplars only. */
  label?: string
}

/** The answer to one text or exemplar prompt on one image. */
export interface Segmentation {
  /** Width of the image in pixels, EXIF orientation applied. */
  width: number
  /** Height of the image in pixels, EXIF orientation applied. */
  height: number
  /** What was found, best first. */
  instances: Instance[]
  /** Probability that the concept is in the image at all, 0..1; already part of every score. */
  presence: number
  /** All pixels of the concept, where `semantic: true` was asked for. */
  semantic?: Mask
  /** What the caller should know, such as a text that was cut off. Usually empty. */
  warnings: string[]
}

/** The answer to one click prompt. */
export interface Prediction {
  /** Width of the image in pixels, EXIF orientation applied. */
  width: number
  /** Height of the image in pixels, EXIF orientation applied. */
  height: number
  /** Three masks, or one with `multimask: false`, in the order of the network; each has its `logits`. */
  masks: Mask[]
  /** The network's guess of each mask's IoU with the true object. */
  scores: number[]
  /** Logit that there is an object at all; below 0 means that there is probably none. */
  objectScore: number
  /** The mask with the highest score. */
  best: ScoredMask
}

/** A mask and what the network thinks of it. */
export interface ScoredMask {
  /** Which pixels belong to the object; has its `logits`. */
  mask: Mask
  /** Predicted IoU with the true object. */
  score: number
}

/** What can be drawn: an `Instance`, or any mask with what is known about it. */
export interface OverlayInstance {
  /** Of the size of the image. */
  mask: Mask
  /** Default: the box of the mask. */
  box?: Box
  /** Shown in the label. */
  score?: number
  /** Default: the number of the instance. */
  label?: string
}
