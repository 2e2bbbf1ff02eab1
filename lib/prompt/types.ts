/** What a user can ask for. */
import type { BoxInput, MaskLogits, PointInput, NumberArray } from '../geometry/types.js'
import type { CallReport } from '../native/contract.js'

/** Whether a box or a point says "this" (`'positive'`, 1) or "not this" (`'negative'`, 0). */
export type PromptLabel = 'positive' | 'negative' | 1 | 0

/** An exemplar: an example of what to find, or of what not to find. */
export interface BoxPrompt {
  /** Around the example. */
  box: BoxInput
  /** Default `'positive'`. */
  label?: PromptLabel
}

/** What a text or exemplar prompt can set besides its text. */
export interface PromptSettings {
  /**
   * Exemplars. Boxes without a text find everything that looks like the positive ones. A typed array holds four numbers
   * for each. They may reach over the edge of the image, up to ten times its size.
   */
  boxes?: readonly (BoxPrompt | BoxInput)[] | NumberArray
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

/** One prompt, or several for one image. */
export type Prompts = PromptInput | PromptList | readonly PromptInput[]

/** "Segment this": clicks, a box, a previous mask, as in SAM 1 and 2. At least one of the three. */
export interface PointPrompt {
  /** Clicks, inside of the image. A typed array holds two numbers for each. */
  points?: readonly PointInput[] | NumberArray
  /** One label per point, 1 (part of the object) or 0 (not). Default: all 1. */
  labels?: readonly PromptLabel[] | NumberArray
  /** A box around the object. */
  box?: BoxInput
  /** Logits of a previous result, to refine it. */
  maskInput?: MaskLogits | NumberArray
  /** Three masks for an ambiguous prompt (default), or the single best one. */
  multimask?: boolean
  /** Points and box are 0..1 of the image's width and height instead of pixels. Default false. */
  normalized?: boolean
}

/** Options of a single call. */
export interface CallOptions {
  /** Takes the call out of the queue, or stops it between two steps. The promise rejects with a `Sam3AbortError`. */
  signal?: AbortSignal
  /**
   * Told where the time went, before the promise settles: once for each call of the engine, of which a large batch takes
   * several; also where the call failed while it ran. What it throws rejects the promise.
   */
  onStages?: (report: CallReport) => void
}
