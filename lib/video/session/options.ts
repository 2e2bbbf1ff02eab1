/** What a video session can be started with, and the checks of it. */
import { Sam3InputError } from '../../base/errors.js'
import type { NativeSessionOptions } from '../../native/contract.js'
import { type Check, checkBoolean, checkKeys, checkWholeNumber } from '../../base/checks.js'
import type { FrameSource, SourceOptions } from '../source/types.js'
import { shown } from '../../base/shown.js'
import { withoutUndefined } from '../../base/without-undefined.js'

/**
 * The rules by which detections become followed objects, each under the reference's name with the reference's default.
 * They hold for every text or exemplar prompt of a session by itself; a session of clicks only uses none of them but
 * those of the tracker, from `maxCondFramesInAttn` on. Where SAM 3.1 has another default, it is in brackets. The model folder
 * of a SAM 3 may set other defaults: those in its config.json, by the reference's names (`new_det_thresh`).
 */
export interface HeuristicOptions {
  /** A detection counts with a score above this, 0..1. Default 0.5 (0.4). */
  scoreThresholdDetection?: number
  /** Of two detections with a mask IoU above this the weaker is dropped, 0..1; 0 keeps both. Default 0.1. */
  detNmsThresh?: number
  /** A detection belongs to each followed object with at least this mask IoU, and is then no new one, 0..1. Default 0.1. */
  assocIouThresh?: number
  /** A followed object was seen on a frame if a detection has at least this mask IoU with it, 0..1. Default 0.5. */
  trkAssocIouThresh?: number
  /** Match objects and detections one to one (Hungarian) instead of each by itself. Default false. */
  o2oMatchingMaskletsEnable?: boolean
  /** A detection that belongs to no object becomes one with at least this score, 0..1. Default 0.7 (0.65). */
  newDetThresh?: number
  /** No new objects whose centre is within 2.5 % of the edge of the frame. Default false (true). */
  suppressDetCloseToBoundary?: boolean
  /** Most objects of one prompt; the best are kept. -1: no limit. Default -1 (16). */
  maxNumObjects?: number
  /**
   * Frames by which results are held back, in which objects that prove false disappear before they are shown; 0 gives
   * every result at once. Default 15, and 0 for live frames.
   */
  hotstartDelay?: number
  /** Remove an object that stays undetected on so many frames within the delay. At most the delay. Default 8. */
  hotstartUnmatchThresh?: number
  /** Remove an object that shares its detection with an earlier one on so many frames. At most the delay. Default 8. */
  hotstartDupThresh?: number
  /** Objects that stay undetected after the delay are shown all the same. Default true (false, to no effect). */
  suppressUnmatchedOnlyWithinHotstart?: boolean
  /** Keep-alive count of a new object: +1 on every frame it is detected on, -1 on every other. Default 30 (0). */
  initTrkKeepAlive?: number
  /** Highest keep-alive count. Default 30 (8). */
  maxTrkKeepAlive?: number
  /** Lowest keep-alive count. Default -1 (-4). */
  minTrkKeepAlive?: number
  /** Count an object with an empty mask as undetected. Default false. */
  decreaseTrkKeepAliveForEmptyMasklets?: boolean
  /** Of two objects with this mask IoU the more recently hidden one is suppressed, 0..1; 0: neither. Default 0.7. */
  suppressOverlappingBasedOnRecentOcclusionThreshold?: number
  /** Holes and specks of a mask up to this many pixels of the network's mask grid are mended. Default 16 (0). */
  fillHoleArea?: number
  /** Every so many frames sure detections replace the masks of their objects; 0: never. Default 16. */
  reconditionEveryNthFrame?: number
  /** They also do when the boxes of the two overlap less than this, 0..1; 0: never. Default 0. */
  reconstructionBboxIouThresh?: number
  /** Detection score that this needs, 0..1. Default 0. */
  reconstructionBboxDetScore?: number
  /** Show an object only once it was detected on several frames in a row. Default false (true). */
  maskletConfirmationEnable?: boolean
  /** How many frames in a row that are. Default 3. */
  maskletConfirmationConsecutiveDetThresh?: number
  /** Clicks on an object of a prompt also look at the memory of other frames. Default false. */
  usePrevMemFrame?: boolean
  /** The first click on an object of a prompt forgets what was followed of it. Default false. */
  useStatelessRefinement?: boolean
  /** Within so many frames of a click the detector's masks no longer guide its object. Default 16 (to no effect). */
  refinementDetectorCondFrameRemovalWindow?: number
  /** SAM 3.1: overlaps of detections are measured by the smaller of two masks, not by both. Default true. */
  detNmsUseIom?: boolean
  /** SAM 3.1: stands for `newDetThresh` where the video is one image, 0..1. Default 0.5. */
  imageOnlyDetThresh?: number
  /** SAM 3.1: how near the edge `suppressDetCloseToBoundary` means, as a share of the frame, 0..1. Default 0.025. */
  boundaryMargin?: number
  /** SAM 3.1: a detection corrects the object that it belongs to with at least this score, 0..1. Default 0.8. */
  highConfThresh?: number
  /** SAM 3.1: and with at least this overlap, 0..1. Default 0.5. */
  iomThreshRecondition?: number
  /** SAM 3.1: the box of a prompt counts when its frame is followed, too (the reference forgets it). Default true. */
  useBoxesInPropagation?: boolean
  /**
   * SAM 3.1: clicked objects are followed in a session without a text (the reference shows them only on frames that were
   * clicked or propagated before). Default true.
   */
  followClicksWithoutText?: boolean
  /**
   * SAM 3.1: frames that no propagation has reached are computed whatever was called before (after a removal the reference
   * fails on them; with false it is `ERR_INFERENCE`). Default true.
   */
  computeMissingFrames?: boolean
  /**
   * SAM 3.1: a frame may be clicked any number of times after a propagation of clicked objects has met it (the reference
   * fails on the second click; with false it is `ERR_INVALID_ARGUMENT`). Default true.
   */
  repeatClicksAfterTracking?: boolean
  /**
   * SAM 3.1: `max_frame_num_to_track` of `Sam3VideoPredictor` reaches its last frame going forward (the reference fails
   * there; with false it is `ERR_INFERENCE`). Default true.
   */
  trackLastOfMaxFrames?: boolean
  /** Most prompted frames that a frame looks back at; -1: all. Default 4. */
  maxCondFramesInAttn?: number
  /** The first prompted frame is always among them. Default false. */
  keepFirstCondFrame?: boolean
  /** Most object pointers that a frame looks back at, from 2 on (with 1 the reference divides by 0). Default 16. */
  maxObjPtrsInEncoder?: number
  /** Look back at frames that show the objects well instead of the last ones. Default true. */
  useMemorySelection?: boolean
  /** How well, 0..1. Default 0.01. */
  mfThreshold?: number
  /** Of more points on one object and frame, the first and the last half of so many are used. Default 16. */
  maxPointNumInPromptEnc?: number
  /**
   * SAM 3.1: objects go on being followed when those are removed that their only prompted frame has input of (the
   * reference fails; with false it is `ERR_NO_PROMPT`). Default true.
   */
  keepLastCondFrame?: boolean
}

/** Options of `startSession`. All have defaults. */
export interface SessionOptions extends HeuristicOptions, SourceOptions {
  /**
   * `'bounded'` (default): forward only; keeps what the network can still look at, so that any length takes the same
   * memory. `'full'`: any frame may be prompted again and propagation may go backward; keeps the memories, results and
   * resized pixels of every frame in host memory, up to `memoryLimit`. Results are the same.
   */
  history?: 'bounded' | 'full'
  /** Bytes of host memory that a full history may take; then calls fail with `ERR_MEMORY_LIMIT`. Default 4 GiB. */
  memoryLimit?: number
  /**
   * How frames are resized to the network's input: `'bilinear'` (default), as the reference's video model does, or
   * `'bicubic'`, as its tracker does where it is used alone.
   */
  resample?: 'bilinear' | 'bicubic'
  /** A damaged frame, or one of another size, ends the propagation (`'fail'`, default) or is left out (`'skip'`). */
  onBadFrame?: 'fail' | 'skip'
  /** Masks carry the network's logits. Default false. */
  logits?: boolean
}

function invalid(name: string, range: string, value: unknown): Sam3InputError {
  return new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} must be ${range}, not ${shown(value)}.`, {
    fix: 'Leave it out for the default of the reference.',
  })
}

const fraction: Check = (value, name) => {
  if (value !== undefined && !(typeof value === 'number' && value >= 0 && value <= 1)) {
    throw invalid(name, 'a number from 0 to 1', value)
  }
  return value
}

const flag: Check = (value, name) => value !== undefined && checkBoolean(value, name)

const whole =
  (minimum: number, unlimited?: -1): Check =>
  (value, name) => {
    if (value === undefined || value === unlimited) return value
    if (Number.isSafeInteger(value) && (value as number) >= minimum) return value
    const also = unlimited === undefined ? '' : ', or -1 for no limit'
    throw invalid(name, `a whole number of at least ${minimum}${also}`, value)
  }

/** The range of each. */
export const HEURISTICS: Readonly<Record<keyof HeuristicOptions, Check>> = {
  scoreThresholdDetection: fraction,
  detNmsThresh: fraction,
  assocIouThresh: fraction,
  trkAssocIouThresh: fraction,
  o2oMatchingMaskletsEnable: flag,
  newDetThresh: fraction,
  suppressDetCloseToBoundary: flag,
  maxNumObjects: whole(1, -1),
  hotstartDelay: whole(0),
  hotstartUnmatchThresh: whole(0),
  hotstartDupThresh: whole(0),
  suppressUnmatchedOnlyWithinHotstart: flag,
  initTrkKeepAlive: whole(Number.MIN_SAFE_INTEGER),
  maxTrkKeepAlive: whole(Number.MIN_SAFE_INTEGER),
  minTrkKeepAlive: whole(Number.MIN_SAFE_INTEGER),
  decreaseTrkKeepAliveForEmptyMasklets: flag,
  suppressOverlappingBasedOnRecentOcclusionThreshold: fraction,
  fillHoleArea: whole(0),
  reconditionEveryNthFrame: whole(0),
  reconstructionBboxIouThresh: fraction,
  reconstructionBboxDetScore: fraction,
  maskletConfirmationEnable: flag,
  maskletConfirmationConsecutiveDetThresh: whole(1),
  usePrevMemFrame: flag,
  useStatelessRefinement: flag,
  refinementDetectorCondFrameRemovalWindow: whole(0),
  detNmsUseIom: flag,
  imageOnlyDetThresh: fraction,
  boundaryMargin: fraction,
  highConfThresh: fraction,
  iomThreshRecondition: fraction,
  useBoxesInPropagation: flag,
  followClicksWithoutText: flag,
  computeMissingFrames: flag,
  repeatClicksAfterTracking: flag,
  trackLastOfMaxFrames: flag,
  maxCondFramesInAttn: whole(2, -1),
  keepFirstCondFrame: flag,
  maxObjPtrsInEncoder: whole(2),
  useMemorySelection: flag,
  mfThreshold: fraction,
  maxPointNumInPromptEnc: whole(1),
  keepLastCondFrame: flag,
}
const HEURISTIC_NAMES = Object.keys(HEURISTICS) as (keyof HeuristicOptions)[]

const SESSION_KEYS = ['history', 'memoryLimit', 'resample', 'onBadFrame', 'logits'] as const
const SOURCE_KEYS = ['frameRate', 'ffmpeg', 'ffprobe', 'signal'] as const

/** Defaults of the engine, as far as one option bounds another. */
export const BOUNDING_DEFAULTS = {
  hotstartDelay: 15,
  hotstartUnmatchThresh: 8,
  hotstartDupThresh: 8,
  initTrkKeepAlive: 30,
  maxTrkKeepAlive: 30,
  minTrkKeepAlive: -1,
} as const satisfies HeuristicOptions

/** The same where SAM 3.1 has others. */
const MULTIPLEX_KEEP_ALIVE = { initTrkKeepAlive: 0, maxTrkKeepAlive: 8, minTrkKeepAlive: -4 } as const

/** Checked options, ready for the parts that use them. */
export interface SessionSettings {
  history: 'bounded' | 'full'
  onBadFrame: 'fail' | 'skip'
  source: SourceOptions
  /** The engine's options for a video. */
  native(source: FrameSource, isLive: boolean): NativeSessionOptions
}

/**
 * Checks the range of each, and that they go together with the defaults of those that are not given.
 * @param multiplex for a model of SAM 3.1
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`
 */
export function checkHeuristics(given: HeuristicOptions, defaults: HeuristicOptions = {}, multiplex = false): void {
  checkRanges(given)
  checkTogether(given, defaults, multiplex)
}

function checkRanges(given: HeuristicOptions): void {
  for (const name of HEURISTIC_NAMES) HEURISTICS[name](given[name], name)
}

function checkTogether(given: HeuristicOptions, defaults: HeuristicOptions, multiplex: boolean): void {
  const bounds = { ...BOUNDING_DEFAULTS, ...(multiplex ? MULTIPLEX_KEEP_ALIVE : undefined), ...defaults }
  const whole = { ...bounds, ...withoutUndefined(given) }
  checkKeepAlive(whole)
  checkHotstart(given, whole.hotstartDelay)
}

/**
 * Checks each option by itself: what can be told before the model is there, whose defaults decide which go together.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`
 */
export function checkEachSessionOption(options: SessionOptions): void {
  checkKeys(options, [...SESSION_KEYS, ...SOURCE_KEYS, ...HEURISTIC_NAMES], 'The options of a session')
  checkChoice(options.history, ['bounded', 'full'], 'history')
  checkChoice(options.onBadFrame, ['fail', 'skip'], 'onBadFrame')
  checkChoice(options.resample, ['bilinear', 'bicubic'], 'resample')
  checkBoolean(options.logits, 'logits')
  checkWholeNumber(options.memoryLimit, 'memoryLimit', 1)
  checkRanges(options)
}

/**
 * @param multiplex for a model of SAM 3.1
 * @param defaults what the model's own config says, where it differs from the reference
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`
 */
export function checkSessionOptions(
  options: SessionOptions,
  multiplex = false,
  defaults: HeuristicOptions = {},
): SessionSettings {
  checkEachSessionOption(options)
  checkTogether(options, defaults, multiplex)
  const { history = 'bounded', onBadFrame = 'fail', resample, logits = false, memoryLimit } = options
  const { frameRate, ffmpeg, ffprobe, signal } = options
  const heuristics = Object.fromEntries(HEURISTIC_NAMES.map((name) => [name, options[name] ?? defaults[name]]))

  return {
    history,
    onBadFrame,
    source: { frameRate, ffmpeg, ffprobe, signal },
    native({ width, height, frameCount }, isLive) {
      return withoutUndefined({
        ...heuristics,
        ...hotstart(options.hotstartDelay ?? (isLive ? 0 : defaults.hotstartDelay), options, defaults),
        width,
        height,
        numFrames: frameCount ?? -1,
        fullHistory: history === 'full',
        bicubic: resample === 'bicubic',
        logits,
        memoryLimit,
        multiplex: multiplex || undefined,
      })
    },
  }
}

function checkChoice<T extends string>(value: unknown, choices: readonly [T, ...T[]], name: string): T {
  if (value === undefined) return choices[0]
  if (choices.includes(value as T)) return value as T
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} cannot be ${shown(value)}.`, {
    fix: `Use ${choices.map((choice) => `'${choice}'`).join(' or ')}.`,
  })
}

function checkKeepAlive({
  initTrkKeepAlive: init = 0,
  maxTrkKeepAlive: max = 0,
  minTrkKeepAlive: min = 0,
}: HeuristicOptions): void {
  if (min <= init && init <= max) return
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `initTrkKeepAlive ${init} is not between ${min} and ${max}.`, {
    fix: 'Choose minTrkKeepAlive <= initTrkKeepAlive <= maxTrkKeepAlive.',
  })
}

/** An object cannot fail on more frames than are held back. */
function checkHotstart(options: HeuristicOptions, delay: number): void {
  if (delay === 0) return
  for (const name of ['hotstartUnmatchThresh', 'hotstartDupThresh'] as const) {
    if ((options[name] ?? 0) <= delay) continue
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} ${options[name]} is above hotstartDelay ${delay}.`, {
      fix: 'Raise hotstartDelay, or lower the threshold to at most the delay.',
    })
  }
}

/** The delay, and thresholds within it where a short one was given without them. */
function hotstart(
  delay: number | undefined,
  options: HeuristicOptions,
  defaults: HeuristicOptions,
): Record<string, number> {
  if (delay === undefined) return {}
  const within = (name: 'hotstartUnmatchThresh' | 'hotstartDupThresh') =>
    options[name] ?? Math.min(defaults[name] ?? BOUNDING_DEFAULTS[name], delay)
  return {
    hotstartDelay: delay,
    hotstartUnmatchThresh: within('hotstartUnmatchThresh'),
    hotstartDupThresh: within('hotstartDupThresh'),
  }
}
