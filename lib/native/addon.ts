/**
 * The native addon as TypeScript sees it. Two files: the loader (libc only, opens LibTorch) and the engine
 * (linked against LibTorch). Nothing here is public; `lib/model` turns it into the friendly API.
 */
import type { NativeSession, NativeSessionOptions } from './session.js'
import type { NativeCancelToken, NativeMasks, NativeRawImage } from './values.js'

/** `sam3_loader.node`: opens shared libraries by absolute path and asks the GPU driver what is there. */
export interface NativeLoader {
  /** dlopen by absolute path; throws an Error with code `ERR_LIBTORCH_LOAD`. */
  open(sharedObject: string): void
  probeGpu(): { driver: string | null; devices: { name: string; memory: number; capability: string }[] }
}

/** What the engine says about itself. */
export interface NativeEngineInfo {
  /** LibTorch version at run time. */
  torch: string
  cuda: boolean
  devices: string[]
  cpuCapability: string
  threads: number
}

/** One heuristic of a video session. */
export interface NativeVideoOption {
  name: string
  type: 'boolean' | 'whole' | 'number'
  default: boolean | number
}

/** `libsam3_engine.so`. */
export interface NativeEngine {
  info(): NativeEngineInfo
  /** The codes that its errors can have. */
  errorCodes: string[]
  /** The heuristics of a video session: see `HeuristicOptions`. */
  videoOptions: NativeVideoOption[]
  load(options: NativeLoadOptions, onProgress?: (done: number, total: number) => void): Promise<NativeModel>
  CancelToken: new () => NativeCancelToken
  /** What is in a weight file, and what a program with these names would use of it. Reads no weights. */
  inspectWeights(weights: string, names: string): NativeWeightReport
  /** Stops every engine thread of this environment; must run before LibTorch's statics die at process exit. */
  stop(): void
}

/**
 * Absolute paths. `weights` is a safetensors file or index, Meta's sam3.pt or a self-contained checkpoint: the engine
 * tells them apart by content. `program` and `names` are needed for all but a self-contained checkpoint.
 */
export interface NativeLoadOptions {
  weights: string
  program?: string
  names?: string
  /** Weights that cannot follow objects through a video are refused, before they are read. */
  forVideo?: boolean
  device: string
  dtype: string
  inputSize?: number
  threads?: number
  queueLimit?: number
  memoryBudget?: number
  maxBatch?: number
}

/** One text/exemplar prompt. `ids`: the token row, padded with 0. `boxes`: 4N, cxcywh, 0..1. `labels`: N of 1 | 0. */
export interface NativePrompt {
  ids: Int32Array
  boxes?: Float32Array
  labels?: Int32Array
  threshold: number
  maxInstances?: number
  semantic?: boolean
  logits?: boolean
}

/** One click prompt set. Points and box in pixels of the S x S network input. `maskInput`: size*size logits. */
export interface NativePointSet {
  points?: Float32Array
  labels?: Int32Array
  box?: Float32Array
  maskInput?: Float32Array
}

/** K instances of one prompt, best first. `boxes`: 4K, xyxy pixels. `logits.data`: K*size*size. */
export interface NativeSegmentation {
  scores: Float32Array
  boxes: Float32Array
  presence: number
  masks: NativeMasks
  logits?: { data: Float32Array; size: number }
  semantic?: NativeMasks
}

/** B prompt sets with M/B masks each. `ious`: M, `objectScores`: B, `lowRes`: M*size*size. */
export interface NativePrediction {
  ious: Float32Array
  objectScores: Float32Array
  masks: NativeMasks
  lowRes: Float32Array
  size: number
}

/** Which parts of SAM 3 a set of weights has: texts and exemplar boxes, clicks on an image, videos. */
export interface NativeParts {
  detector: boolean
  clicks: boolean
  video: boolean
}

/** Tensors of one kind: a module of the program, or a common beginning of names in the file. */
export interface NativeWeightGroup {
  name: string
  tensors: number
  /** How many the module needs; of missing ones only. */
  of?: number
  example: string
}

/** What a weight file holds. */
export type NativeWeightReport =
  | { format: 'torchscript' }
  | {
      format: 'safetensors' | 'index' | 'torch.save'
      /** Tensors in the file. */
      tensors: number
      /** Which kind of saved module this is; absent where nothing of SAM 3 was found. */
      layout?: string
      /** What stands before every name. */
      prefix: string
      /** Parts of names that wrappers had put there, and how often. */
      wrappers: Record<string, number>
      /** Number types of the tensors used, as LibTorch calls them, and how many have them. */
      dtypes: Record<string, number>
      /** Tensors used. */
      used: number
      /** Numbers in them. */
      parameters: number
      parts: NativeParts
      missing: NativeWeightGroup[]
      ignored: NativeWeightGroup[]
      /** Other sets of weights in the file, by their prefix. */
      others: NativeWeightGroup[]
      /** Why these weights cannot be loaded. */
      problem?: Error & { code: string }
    }

/** What a loaded model says about itself. */
export interface NativeModelInfo {
  device: string
  dtype: string
  inputSize: number
  grid: number
  validInputSizes: number[]
  parameters: number
  weightBytes: number
  parts: NativeParts
  /** Text of the tokenizer.json found inside a self-contained checkpoint. */
  tokenizer?: string
  /** Text of the config.json found inside a self-contained checkpoint. */
  config?: string
}

/** Counters of an engine thread. */
export interface NativeStats {
  queued: number
  images: number
  textCache: number
  sessions: number
  batches: number
  calls: number
}

/** An image whose features lie on the device. */
export interface NativeImage {
  readonly width: number
  readonly height: number
  dispose(): void
}

/** A loaded model with its own engine thread. */
export interface NativeModel {
  readonly info: NativeModelInfo
  encode(images: NativeRawImage[], token?: NativeCancelToken): Promise<NativeImage[]>
  /** Result: [item][prompt]. */
  segment(
    items: { image: NativeImage | NativeRawImage; prompts: NativePrompt[] }[],
    token?: NativeCancelToken,
  ): Promise<NativeSegmentation[][]>
  predict(
    image: NativeImage | NativeRawImage,
    sets: NativePointSet[],
    options: { multimask: boolean; width?: number; height?: number },
    token?: NativeCancelToken,
  ): Promise<NativePrediction>
  openSession(options: NativeSessionOptions, token?: NativeCancelToken): Promise<NativeSession>
  stats(): NativeStats
  dispose(): Promise<void>
}
