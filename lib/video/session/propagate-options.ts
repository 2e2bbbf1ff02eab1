/** Following a session's objects through the video, as an async iterator. */
import { Sam3InputError } from '../../base/errors.js'
import { checkKeys, checkSignal, checkWholeNumber } from '../../base/checks.js'
import type { RunSettings } from './propagation-run.js'
import { checkFrameIndex } from './prompts.js'

/** Which way to go: `'both'` is forward first, then backward from the same start. */
export type PropagationDirection = 'forward' | 'backward' | 'both'

/** Options of `propagate`. All have defaults. */
export interface PropagateOptions {
  /** Default `'forward'`. The other two need a session with `history: 'full'`. */
  direction?: PropagationDirection
  /** Default: the first frame with a prompt; in a bounded history that has begun, the frame behind the last one. */
  startFrame?: number
  /** Most frames in each direction. Default: to the end of the video. */
  maxFrames?: number
  /** Ends it: the step under way stops after its current network call, and `next()` rejects with a `Sam3AbortError`. */
  signal?: AbortSignal
}

const PASSES: Readonly<Record<PropagationDirection, readonly boolean[]>> = {
  forward: [false],
  backward: [true],
  both: [false, true],
}

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT`, `ERR_INVALID_FRAME`; Sam3AbortError */
export function checkPropagateOptions(options: PropagateOptions, frameCount: number | undefined): RunSettings {
  checkKeys(options, ['direction', 'startFrame', 'maxFrames', 'signal'], 'The options of propagate')
  const { direction = 'forward', startFrame, signal } = options
  if (!Object.hasOwn(PASSES, direction)) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `There is no direction ${JSON.stringify(direction)}.`, {
      fix: "Use 'forward', 'backward' or 'both'.",
    })
  }
  checkSignal(signal)
  return {
    passes: PASSES[direction],
    startFrame: startFrame === undefined ? undefined : checkFrameIndex(startFrame, frameCount),
    maxFrames: checkWholeNumber(options.maxFrames, 'maxFrames', 1),
    signal,
  }
}
