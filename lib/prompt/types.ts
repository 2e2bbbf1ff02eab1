/** What a user can ask for. */
import type { MaskLogits } from '../result/mask.js'

/** A box [x0, y0, x1, y1]: left, top, right, bottom, in pixels of the image as a person sees it (or 0..1 where `normalized`). */
export type Box = readonly [x0: number, y0: number, x1: number, y1: number]

/** A point [x, y] in pixels from the upper left corner (or 0..1 where `normalized`). */
export type Point = readonly [x: number, y: number]

/** Whether a box or a point says "this" (`'positive'`, 1) or "not this" (`'negative'`, 0). */
export type PromptLabel = 'positive' | 'negative' | 1 | 0

/** An exemplar: an example of what to find, or of what not to find. */
export interface BoxPrompt {
  /** Around the example. */
  box: Box
  /** Default `'positive'`. */
  label?: PromptLabel
}

/** What a text or exemplar prompt can set besides its text. */
export interface PromptSettings {
  /** Exemplars. Boxes without a text find everything that looks like the positive ones. */
  boxes?: readonly (BoxPrompt | Box)[]
  /** Keep instances with a score above this, 0..1. Default 0.5. */
  threshold?: number
  /** Keep at most this many, the best ones. Default: all. */
  maxInstances?: number
  /** Also give the semantic map: one mask of every pixel that belongs to the concept. Default false. */
  semantic?: boolean
  /** Also give each mask's logits. Default false. */
  logits?: boolean
  /** Boxes are 0..1 of the image's width and height instead of pixels. Default false. */
  normalized?: boolean
}

/** "Find every …": a text, exemplar boxes, or both. */
export interface Prompt extends PromptSettings {
  /** A short noun phrase, such as `'yellow school bus'`. Longer than 30 tokens is cut off, with a warning in the result. */
  text?: string
}

/** Several texts at once, each a prompt of its own with the same settings. */
export interface PromptList extends PromptSettings {
  /** Short noun phrases. */
  text: readonly string[]
}

/** A prompt, or just its text. */
export type PromptInput = string | Prompt

/** "Segment this": clicks, a box, a previous mask, as in SAM 1 and 2. At least one of the three. */
export interface PointPrompt {
  /** Clicks. */
  points?: readonly Point[]
  /** One label per point, 1 (part of the object) or 0 (not). Default: all 1. */
  labels?: readonly PromptLabel[]
  /** A box around the object. */
  box?: Box
  /** Logits of a previous result, to refine it. */
  maskInput?: MaskLogits | Float32Array
  /** Three masks for an ambiguous prompt (default), or the single best one. */
  multimask?: boolean
  /** Points and box are 0..1 of the image's width and height instead of pixels. Default false. */
  normalized?: boolean
}

/** Options of a single call. */
export interface CallOptions {
  /** Takes the call out of the queue, or stops it between two steps. The promise rejects with a `Sam3AbortError`. */
  signal?: AbortSignal
}
