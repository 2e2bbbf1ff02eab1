/** The engine's video sessions as TypeScript sees them. Nothing here is public; `lib/video` turns it into the friendly API. */
import type { NativeCancelToken, NativeMasks, NativeRawImage } from './values.js'

/** What a session is opened with. What is left out has the default of `native/video`. */
export interface NativeSessionOptions {
  /** Of the video, pixels. */
  width: number
  height: number
  /** -1 or left out: not known. */
  numFrames?: number
  fullHistory?: boolean
  /** Bytes on the host that a full history may take. */
  memoryLimit?: number
  bicubic?: boolean
  logits?: boolean
  /** The thresholds of the reference, camelCase. */
  [heuristic: string]: number | boolean | undefined
}

/** One concept. `ids`: the token row, padded with 0. `boxes`: 4 or none, cxcywh, 0..1. `labels`: one per box. */
export interface NativeConcept {
  ids: Int32Array
  hasText: boolean
  boxes?: Float32Array
  labels?: Int32Array
}

/** Clicks on one object. Points and box in pixels of the S x S network input. */
export interface NativePoints {
  object: number
  points?: Float32Array
  labels?: Int32Array
  box?: Float32Array
  clearOldPoints?: boolean
  usePrevMemFrame?: boolean
}

/** N objects of one frame, by id. `boxes`: 4N, x0 y0 x1 y1 pixels, inclusive. `logits`: one array per object where asked. */
export interface NativeFrameResult {
  frame: number
  ids: Float64Array
  /** The index of the object's concept, -1 for clicked ones. */
  concepts: Int32Array
  scores: Float32Array
  trackerScores: Float32Array
  objectLogits: Float32Array
  boxes: Float32Array
  masks: NativeMasks
  logits: Float32Array[]
  tracked: number
  dropped: number
}

/** Frames to step, both ends included; `last` is null where the number of frames is not known. */
export interface NativePropagationPlan {
  first: number
  last: number | null
  reverse: boolean
  /** False: no frame needs an image. */
  encodes: boolean
  kind: 'full' | 'partial' | 'fetch' | 'clicks'
  /** Frames whose images the session holds. */
  held: Float64Array
}

/** Milliseconds of each stage since the session began. */
export interface NativeStageTimes {
  encode: number
  detect: number
  attend: number
  decode: number
  memory: number
  associate: number
  output: number
}

/** Counters of a session. */
export interface NativeSessionStats {
  hostBytes: number
  deviceBytes: number
  frames: number
  objects: number
  times: NativeStageTimes
}

/** A video session on the engine thread. An image may be null where the session holds the frame. */
export interface NativeSession {
  holds(frame: number): Promise<boolean>
  addConcept(
    frame: number,
    image: NativeRawImage | null,
    concept: NativeConcept,
    token?: NativeCancelToken,
  ): Promise<{ index: number; result: NativeFrameResult }>
  addPoints(
    frame: number,
    image: NativeRawImage | null,
    points: NativePoints,
    token?: NativeCancelToken,
  ): Promise<NativeFrameResult>
  /** `mask`: width * height of the video, row-major, 0 or 1. */
  addMask(
    frame: number,
    image: NativeRawImage | null,
    mask: { object: number; mask: Uint8Array },
    token?: NativeCancelToken,
  ): Promise<NativeFrameResult>
  clearPrompts(
    frame: number,
    image: NativeRawImage | null,
    object: number,
    token?: NativeCancelToken,
  ): Promise<NativeFrameResult>
  removeObject(object: number): Promise<void>
  removeConcept(index: number): Promise<void>
  reset(): Promise<void>
  /** `maxFrames`: the furthest frame's distance from the start frame. */
  begin(request: { reverse: boolean; start?: number; maxFrames?: number }): Promise<NativePropagationPlan>
  step(frame: number, image: NativeRawImage | null, token?: NativeCancelToken): Promise<NativeFrameResult[]>
  finish(): Promise<NativeFrameResult[]>
  abandon(): Promise<void>
  stats(): Promise<NativeSessionStats>
  /** Ends the session's calls with `ERR_SESSION_CLOSED` and frees it. */
  close(): Promise<void>
}
