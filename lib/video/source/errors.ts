/** Errors that several sources share. */
import { Sam3InputError, Sam3RuntimeError } from '../../base/errors.js'
import { shown } from '../../base/shown.js'

interface Size {
  width: number
  height: number
}

/** @throws Sam3InputError `ERR_INVALID_FRAME` unless `index` is a whole number from 0. */
export function checkIndex(index: unknown): void {
  if (Number.isSafeInteger(index) && (index as number) >= 0) return
  throw new Sam3InputError('ERR_INVALID_FRAME', `There is no frame ${shown(index)}.`, {
    fix: 'Frame indices are whole numbers from 0.',
  })
}

/** A frame that has not the size of the first one. */
export function wrongSize(index: number, size: Size, expected: Size): Sam3InputError {
  return new Sam3InputError(
    'ERR_FRAME_SIZE',
    `Frame ${index} is ${size.width} x ${size.height}, the video is ${expected.width} x ${expected.height}.`,
    { fix: "Scale the frames to one size, or leave such frames out with onBadFrame: 'skip'." },
  )
}

/** A frame that cannot be decoded. */
export function badFrame(index: number, cause: unknown): Sam3InputError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new Sam3InputError('ERR_INVALID_FRAME', `Frame ${index} cannot be used: ${reason}`, {
    cause,
    fix: "Leave such frames out with onBadFrame: 'skip'.",
  })
}

/** What a call gets that waits while a source is closed, or comes later. */
export function sourceClosed(): Sam3RuntimeError {
  return new Sam3RuntimeError('ERR_STREAM_CLOSED', 'The video was closed.', { fix: 'Open it again.' })
}

/** An earlier frame of a source that is read once. */
export function framePassed(index: number): Sam3RuntimeError {
  return new Sam3RuntimeError('ERR_HISTORY_REQUIRED', `Frame ${index} has passed: the video is read once, in order.`, {
    fix: 'Pass a list, a folder or a file instead, of which any frame can be read again.',
  })
}
