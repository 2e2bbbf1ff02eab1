/** What belongs to the ground truth of a sequence of the MOT challenge besides its lines. */
import { Sam3InputError } from '../../base/errors.js'
import { checkWholeNumber } from '../../base/checks.js'

/** A video as a sequence. A session has the sizes, and the count and rate of frames. */
export interface MotSequenceInfo {
  /** Name of the sequence, which is that of its folder. */
  name: string
  /** Pixels in a row. */
  width: number
  /** Rows. */
  height: number
  /** Number of frames. */
  frameCount: number
  /** Frames per second; the format has whole ones. Default 30. */
  frameRate?: number | undefined
}

/**
 * The text of `seqinfo.ini`, without which evaluations do not know how many frames there are. Frames are named as if they were
 * extracted into `img1/000001.jpg` and so on.
 *
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`
 */
export function motSequenceInfo({ name, width, height, frameCount, frameRate = 30 }: MotSequenceInfo): string {
  if (typeof name !== 'string' || name === '' || !(frameRate > 0)) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'A MOT sequence needs a name and a frame rate above 0.', {
      fix: "Pass { name: 'clip', width, height, frameCount, frameRate }.",
    })
  }
  const fields = {
    name: name.replace(/\s+/g, ' '),
    imDir: 'img1',
    frameRate: Math.max(1, Math.round(frameRate)),
    seqLength: count(frameCount, 'frameCount'),
    imWidth: count(width, 'width'),
    imHeight: count(height, 'height'),
    imExt: '.jpg',
  }
  const lines = Object.entries(fields).map(([key, value]) => `${key}=${value}\n`)
  return `[Sequence]\n${lines.join('')}`
}

function count(value: number | undefined, name: string): number {
  if (value !== undefined) return checkWholeNumber(value, name, 1)!
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `A MOT sequence needs its ${name}.`, {
    fix: 'A live video has a number of frames only when it is over: count the results.',
  })
}
