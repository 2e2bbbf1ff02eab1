/**
 * Everything that crosses between TypeScript and C++, once. `binding/` reads and writes these structs and no others: the
 * test of this file records what it reads of them, and looks at what it returns. Nothing here is public unless lib/index.ts
 * says so.
 *
 * Boxes are [x0, y0, x1, y1] and points [x, y] in pixels of the image (or of the video), x1 and y1 exclusive. Masks that go
 * out are COCO run lengths. What is left out has the default of the engine.
 */
import type { RgbImage } from '../image/source.js'

export type { RgbImage }

/** `sam3_loader.node`: opens shared libraries by absolute path and asks the GPU driver what is there. */
export interface NativeLoader {
  /** dlopen by absolute path; throws an Error with code `ERR_LIBTORCH_LOAD`. */
  open(sharedObject: string): void
  probeGpu(): { driver: string | null; devices: { name: string; memory: number; capability: string }[] }
}

/**
 * `libsam3_engine.so`. Its errors are plain ones: `message` is the cause, `code` one of `errorCodes`, `fix` what to do,
 * where that is known.
 */
export interface NativeEngine {
  CancelToken: new () => NativeCancelToken
  errorCodes: string[]
  videoOptions: NativeVideoOption[]
  info(): NativeEngineInfo
  /** For every GPU by its name why the engine's own kernels are not used there, or an empty text. Compiles and tries them. */
  kernels(): Record<string, string>
  load(options: NativeLoadOptions, onProgress?: (done: number, total: number) => void): Promise<NativeModel>
  /** What is in a weight file, and what a program with these names would use of it. Reads no weights. */
  inspectWeights(weights: string, names: string): NativeWeightReport
  /** Stops every engine thread of this environment; must run before LibTorch's statics die at process exit. */
  stop(): void
}

/** Cancels queued work, or running work between two steps. */
export interface NativeCancelToken {
  cancel(): void
}

/** One heuristic of a video session, from the engine's own tables: see `HeuristicOptions`. */
export interface NativeVideoOption {
  name: string
  type: 'boolean' | 'whole' | 'number'
  default: boolean | number
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
  /** Side of the square network input, pixels. */
  inputSize?: number
  threads?: number
  /** Calls that may wait. */
  queueLimit?: number
  /** Bytes of activations that a batch may take. */
  memoryBudget?: number
  /** Images per batch of the image encoder. */
  maxBatch?: number
}

// ------------------------------------------------------------------------------------------------------- models

/** A loaded model with its own engine thread. */
export interface NativeModel {
  readonly info: NativeModelInfo
  encode(images: RgbImage[], token?: NativeCancelToken, onStages?: OnStages): Promise<NativeImage[]>
  /** Result: [item][prompt]. */
  segment(items: SegmentItem[], token?: NativeCancelToken, onStages?: OnStages): Promise<NativeSegmentation[][]>
  predict(
    image: NativeImage | RgbImage,
    prompts: ClickPrompt[],
    options: PredictOptions,
    token?: NativeCancelToken,
    onStages?: OnStages,
  ): Promise<NativePrediction>
  openSession(options: NativeSessionOptions, token?: NativeCancelToken): Promise<NativeSession>
  stats(): ModelStats
  dispose(): Promise<void>
}

/** What a loaded model says about itself. */
export interface ModelInfo {
  /** Objects of a video that share one pass of the network: SAM 3.1 (Object Multiplex). 0 in SAM 3. */
  slots: number
  /** Where it runs, such as `'cpu'` or `'cuda:0'`. */
  device: string
  /** Number type of its weights. */
  dtype: string
  /** Side of the square network input in pixels. */
  inputSize: number
  /** Input sizes that the network accepts. */
  validInputSizes: readonly number[]
  /** Number of parameters. */
  parameters: number
  /** Bytes of weights on the device. */
  weightBytes: number
  /** Bytes that an encoded image takes where the network runs, an estimate. */
  featureBytes: number
  /** What the weights can be asked for. Fine-tuned ones often lack a part. */
  parts: ModelParts
}

/** The same with what only this library needs. */
export interface NativeModelInfo extends ModelInfo {
  /** Side of the mask logits, which `ClickPrompt.maskInput` has as well. */
  maskSide: number
  /** Token ids in a row. */
  textContext: number
  /** Text of the tokenizer.json found inside a self-contained checkpoint. */
  tokenizer?: string
}

/** The parts of SAM 3 that a set of weights has. */
export interface ModelParts {
  /** Texts and exemplar boxes; without it they end with `ERR_NO_DETECTOR`. */
  detector: boolean
  /** Clicks, boxes and masks on one image; without it they end with `ERR_NO_TRACKER`. */
  clicks: boolean
  /** Videos; without it they end with `ERR_NO_TRACKER`. */
  video: boolean
}

/** Counters of a model. */
export interface ModelStats {
  /** Calls that wait. */
  queued: number
  /** Encoded images that are held. */
  images: number
  /** Texts whose features are remembered. */
  textCache: number
  /** Video sessions that are open. */
  sessions: number
  /** Times that the engine took work from the queue. */
  batches: number
  /** Calls served by them; more than `batches` when calls were joined. */
  calls: number
  /** Bytes that the features of the encoded images take: on the device, on a CPU in the host's memory. */
  imageBytes: number
  /** Milliseconds since the model was loaded. */
  uptime: number
  /**
   * Of them, those in which the device had work: `deviceBusy / uptime` is its load. On a GPU the time from the first to the
   * last kernel of a stage counts, and a call of a video session counts as a whole.
   */
  deviceBusy: number
  /** Milliseconds spent in each stage, over all batches; those in the queue over all calls. */
  stages: EngineTimes
  /** What LibTorch holds of a GPU's memory; absent on a CPU. */
  deviceMemory?: DeviceMemory
}

/**
 * What the engine does for a call: it waits; pixels are resized and sent; the image encoder; the network's answer to the
 * prompts; masks are decoded, fetched and turned into runs.
 */
export type CallStage = 'queue' | 'prepare' | 'encode' | 'detect' | 'masks'

/** Milliseconds in each stage. */
export interface EngineTimes extends Record<CallStage, number> {
  /** Of calls in the queue. */
  queue: number
  /** Pixels resized and sent. */
  prepare: number
  /** The image encoder. */
  encode: number
  /** The network's answers to prompts. */
  detect: number
  /** Masks decoded, fetched and turned into runs. */
  masks: number
  /** Calls of video sessions, each as a whole; `SessionStats` has their parts. */
  video: number
}

/** Bytes of a GPU's memory. */
export interface DeviceMemory {
  /** For tensors that are there. */
  allocated: number
  /** With what is kept for reuse. */
  reserved: number
}

/** When a stage began and ended: milliseconds on the clock of `performance.now()`. */
export interface CallSpan {
  /** Which one. */
  stage: CallStage
  /** When it began. */
  start: number
  /** When it ended. */
  end: number
}

/** Where the time of one call of the engine went. */
export interface CallReport {
  /** The number of the batch that the call was part of, among the batches of this model. */
  batch: number
  /** Calls that shared the batch. */
  calls: number
  /** Images in the batch. */
  images: number
  /**
   * In the order in which they began. A stage comes several times where the images or prompts did not fit into one pass of
   * the network, and not at all where there was nothing to do.
   */
  stages: CallSpan[]
}

/** Told right before the promise of a call settles, if the call ran; times are those of `process.hrtime()`. */
export type OnStages = (report: CallReport) => void

// ------------------------------------------------------------------------------------------- images and prompts

/** An image whose features lie on the device. */
export interface NativeImage {
  readonly width: number
  readonly height: number
  dispose(): void
}

/** One image with its prompts. */
export interface SegmentItem {
  image: NativeImage | RgbImage
  prompts: ConceptPrompt[]
}

/** "Find every …": a text, exemplar boxes, or both. */
export interface ConceptPrompt {
  /** The token row, `textContext` ids; that of "visual" where there is no text. */
  ids: Int32Array
  /** Of videos only: whether `ids` are a text of the user. */
  hasText?: boolean
  /** 4 numbers per exemplar; a video takes one at most. */
  boxes?: Float64Array
  /** Per exemplar 1 (such) or 0 (not such). */
  labels?: Int32Array
  /** Of images only, as are the others: instances with a score above it are kept. */
  threshold?: number
  maxInstances?: number
  /** Also the semantic map. */
  semantic?: boolean
  /** Also the masks' logits. */
  logits?: boolean
}

/** "This object": points, a box, a mask, or any mix. */
export interface ClickPrompt {
  /** 2 numbers per point. */
  points?: Float64Array
  /** Per point 1 (part of the object) or 0 (not). */
  labels?: Int32Array
  /** 4 numbers. */
  box?: Float64Array
  /** Of images only: `maskSide`² logits. */
  maskInput?: Float32Array
  /** Of videos only: forget earlier clicks on this object and frame. */
  clearOldPoints?: boolean
  /** Of videos only: also look at the memory of other frames. */
  usePrevMemFrame?: boolean
}

/** Three masks for each prompt, or the single best one. */
export interface PredictOptions {
  multimask: boolean
}

// ------------------------------------------------------------------------------------------------------ results

/** K masks as COCO run lengths (column-major, first run counts zeros). `boxes`: 4K, of the set pixels; zeros where there are none. */
export interface NativeMasks {
  width: number
  height: number
  runs: Uint32Array[]
  areas: Float64Array
  boxes: Int32Array
}

/** K instances of one prompt, best first. `boxes`: 4K. */
export interface NativeSegmentation {
  scores: Float32Array
  boxes: Float32Array
  presence: number
  masks: NativeMasks
  logits?: NativeLogits
  semantic?: NativeMasks
}

/** Logits of K masks: K * size². */
export interface NativeLogits {
  data: Float32Array
  size: number
}

/** B prompts with M/B masks each. `ious`: M, `objectScores`: B, `lowRes`: M * size² logits. */
export interface NativePrediction {
  ious: Float32Array
  objectScores: Float32Array
  masks: NativeMasks
  lowRes: Float32Array
  size: number
}

// ------------------------------------------------------------------------------------------------------- videos

/** A video session on the engine thread. An image may be null where the session holds the frame. */
export interface NativeSession {
  holds(frame: number): Promise<boolean>
  addConcept(
    frame: number,
    image: RgbImage | null,
    prompt: ConceptPrompt,
    token?: NativeCancelToken,
  ): Promise<AddedConcept>
  addPoints(
    frame: number,
    image: RgbImage | null,
    object: number,
    prompt: ClickPrompt,
    token?: NativeCancelToken,
  ): Promise<NativeFrameResult>
  /** `mask`: width * height of the video, row-major, 0 or 1; must not change until the promise settles. */
  addMask(
    frame: number,
    image: RgbImage | null,
    object: number,
    mask: Uint8Array,
    token?: NativeCancelToken,
  ): Promise<NativeFrameResult>
  clearPrompts(
    frame: number,
    image: RgbImage | null,
    object: number,
    token?: NativeCancelToken,
  ): Promise<NativeFrameResult>
  removeObject(object: number): Promise<void>
  removeConcept(index: number): Promise<void>
  reset(): Promise<void>
  begin(request: PropagationRequest): Promise<PropagationPlan>
  step(frame: number, image: RgbImage | null, token?: NativeCancelToken): Promise<NativeFrameResult[]>
  finish(): Promise<NativeFrameResult[]>
  abandon(): Promise<void>
  stats(): Promise<SessionStats>
  /** Ends the session's calls with `ERR_SESSION_CLOSED` and frees it. */
  close(): Promise<void>
}

/** What a session is opened with. */
export interface NativeSessionOptions {
  /** Of the video, pixels. */
  width: number
  height: number
  /** -1 or left out: not known. */
  numFrames?: number
  fullHistory?: boolean
  /** Bytes on the host that a full history may take. */
  memoryLimit?: number
  /** Resize frames as the reference's tracker does, not as its video model does. */
  bicubic?: boolean
  /** Results carry logits. */
  logits?: boolean
  /** What is left out has the default of SAM 3.1. */
  multiplex?: boolean
  /** Those of `videoOptions`. */
  [heuristic: string]: number | boolean | undefined
}

/** `maxFrames`: the furthest frame's distance from the start frame. */
export interface PropagationRequest {
  reverse: boolean
  start?: number
  maxFrames?: number
}

/** Frames to step, both ends included; `last` is null where the number of frames is not known. */
export interface PropagationPlan {
  first: number
  last: number | null
  reverse: boolean
  /** False: no frame needs an image. */
  encodes: boolean
  /** Frames whose images the session holds. */
  held: Float64Array
}

/** A concept's index, by which it is removed, and the frame that it was given on. */
export interface AddedConcept {
  index: number
  result: NativeFrameResult
}

/** N objects of one frame, by id. `boxes`: 4N, before pixels that several objects claim are given to one. `logits`: one array per object where asked. */
export interface NativeFrameResult {
  frame: number
  ids: Float64Array
  /** The index of the object's concept, -1 for clicked ones. */
  concepts: Int32Array
  scores: Float32Array
  trackerScores: Float32Array
  objectLogits: Float32Array
  boxes: Int32Array
  masks: NativeMasks
  logits: Float32Array[]
  tracked: number
  dropped: number
}

/** Counters of a session. */
export interface SessionStats {
  /** Bytes of host memory that the history takes. */
  hostBytes: number
  /** Bytes on the device: memories and features of frames. On a CPU that is host memory as well. */
  deviceBytes: number
  /** Frames that were stepped. */
  frames: number
  /** Objects that are followed. */
  objects: number
  /** Where the time went. */
  times: StageTimes
}

/** Milliseconds that the session spent in each stage since it began. */
export interface StageTimes {
  /** Image encoder. */
  encode: number
  /** Detector, for every text and exemplar prompt. */
  detect: number
  /** Looking back at the memory of earlier frames. */
  attend: number
  /** Mask decoder. */
  decode: number
  /** Encoding new memory. */
  memory: number
  /** Matching detections with followed objects. */
  associate: number
  /** Masks and boxes of the results. */
  output: number
}

// ------------------------------------------------------------------------------------------------ weight files

/** Tensors of one kind: a module of the program, or a common beginning of names in the file. */
export interface NativeWeightGroup {
  name: string
  tensors: number
  /** How many the module needs; of missing ones only. */
  of?: number
  example: string
}

/** What a weight file holds. A program with its weights (`torchscript`) says no more than its format. */
export type NativeWeightReport = { format: 'torchscript' } | NativeWeightList

/** What a file of weights alone holds. */
export interface NativeWeightList {
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
  parts: ModelParts
  missing: NativeWeightGroup[]
  ignored: NativeWeightGroup[]
  /** Other sets of weights in the file, by their prefix. */
  others: NativeWeightGroup[]
  /** Why these weights cannot be loaded. */
  problem?: Error & { code: string }
}
