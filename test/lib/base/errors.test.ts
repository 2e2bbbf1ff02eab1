import { describe, expect, it } from 'vitest'
import {
  Sam3AbortError,
  Sam3EnvironmentError,
  Sam3Error,
  Sam3InputError,
  Sam3ModelError,
  Sam3RuntimeError,
} from '../../../lib/index.js'
import { fromNativeError, type HubErrorCode, type Sam3ErrorCode } from '../../../lib/base/errors.js'

const native = (code: string, message: string) => Object.assign(new Error(message), { code })

describe('Sam3Error', () => {
  it('says the fix after the message, and keeps both apart', () => {
    const cause = new Error('below')
    const error = new Sam3InputError('ERR_INVALID_BOX', 'The box is empty.', { fix: 'Make it larger.', cause })
    expect(error).toBeInstanceOf(Sam3Error)
    expect(error).toMatchObject({
      name: 'Sam3InputError',
      code: 'ERR_INVALID_BOX',
      message: 'The box is empty. Make it larger.',
      fix: 'Make it larger.',
      cause,
    })
  })
})

describe('fromNativeError', () => {
  it.each([
    ['ERR_INVALID_INPUT_SIZE', Sam3InputError],
    ['ERR_WEIGHTS_CORRUPT', Sam3ModelError],
    ['ERR_NO_TRACKER', Sam3ModelError],
    ['ERR_NO_DETECTOR', Sam3ModelError],
    ['ERR_DEVICE_UNAVAILABLE', Sam3EnvironmentError],
    ['ERR_OUT_OF_MEMORY', Sam3RuntimeError],
    ['ERR_DISPOSED', Sam3RuntimeError],
    ['ABORT_ERR', Sam3AbortError],
  ])('%s gets its class', (code, type) => {
    const cause = native(code, 'It went wrong. Do this.')
    const error = fromNativeError(cause)
    expect(error).toBeInstanceOf(type)
    expect(error).toMatchObject({ code, cause })
  })

  it('takes the fix from the message, or adds a general one', () => {
    const told = fromNativeError(
      native('ERR_WEIGHTS_CORRUPT', '/models/v1.5/x.pt is damaged: 3. Download it again. Or else.'),
    )
    expect(told).toMatchObject({ fix: 'Download it again. Or else.' })
    expect(told.message).toBe('/models/v1.5/x.pt is damaged: 3. Download it again. Or else.')
    expect(fromNativeError(native('ERR_DISPOSED', 'The model was disposed.')).message).toMatch(
      /disposed\. Build a new model/,
    )
  })

  it('calls what it does not know an internal error, and leaves typed errors alone', () => {
    expect(fromNativeError(native('EWEIRD', 'odd'))).toMatchObject({
      code: 'ERR_INTERNAL',
      message: expect.stringContaining('odd'),
    })
    expect(fromNativeError('a string')).toMatchObject({ code: 'ERR_INTERNAL' })
    const typed = new Sam3AbortError()
    expect(fromNativeError(typed)).toBe(typed)
  })

  // Every code; those of the hub and of aborting never come from the engine.
  const CODES: Record<Exclude<Sam3ErrorCode, HubErrorCode | 'ABORT_ERR'>, 'report' | 'fix'> = {
    ERR_INVALID_ARGUMENT: 'fix',
    ERR_INVALID_IMAGE: 'fix',
    ERR_IMAGE_NOT_FOUND: 'fix',
    ERR_INVALID_BOX: 'fix',
    ERR_INVALID_POINT: 'fix',
    ERR_INVALID_MASK: 'fix',
    ERR_EMPTY_PROMPT: 'fix',
    ERR_INVALID_FONT: 'fix',
    ERR_BUNDLED: 'fix',
    ERR_NO_TRACKER: 'fix',
    ERR_NO_DETECTOR: 'fix',
    ERR_INVALID_THRESHOLD: 'fix',
    ERR_INVALID_DTYPE: 'fix',
    ERR_INVALID_INPUT_SIZE: 'fix',
    ERR_VIDEO_NOT_FOUND: 'fix',
    ERR_INVALID_VIDEO: 'fix',
    ERR_INVALID_FRAME: 'fix',
    ERR_FRAME_SIZE: 'fix',
    ERR_NO_PROMPT: 'fix',
    ERR_UNKNOWN_OBJECT: 'fix',
    ERR_MODEL_NOT_FOUND: 'fix',
    ERR_MODEL_FORMAT: 'fix',
    ERR_WEIGHTS_CORRUPT: 'fix',
    ERR_WEIGHTS_MISMATCH: 'fix',
    ERR_PROGRAM: 'fix',
    ERR_LIBTORCH_NOT_FOUND: 'fix',
    ERR_LIBTORCH_VERSION: 'fix',
    ERR_LIBTORCH_LOAD: 'fix',
    ERR_LIBTORCH_DOWNLOAD: 'fix',
    ERR_ENGINE_NOT_BUILT: 'fix',
    ERR_DEVICE_UNAVAILABLE: 'fix',
    ERR_FFMPEG_NOT_FOUND: 'fix',
    ERR_DISPOSED: 'fix',
    ERR_QUEUE_FULL: 'fix',
    ERR_OUT_OF_MEMORY: 'fix',
    ERR_SESSION_CLOSED: 'fix',
    ERR_SESSION_BUSY: 'fix',
    ERR_HISTORY_REQUIRED: 'fix',
    ERR_MEMORY_LIMIT: 'fix',
    ERR_STREAM_CLOSED: 'fix',
    ERR_FFMPEG_FAILED: 'fix',
    ERR_INFERENCE: 'report',
    ERR_INTERNAL: 'report',
  }

  it.each(Object.entries(CODES))('%s without a fix of its own gets one: %s', (code, kind) => {
    const error = fromNativeError(native(code, 'Nothing to follow yet: add a text first.'))
    expect(error.code).toBe(code)
    expect(/report/i.test(error.message)).toBe(kind === 'report')
    expect(error.fix).not.toBe('')
    expect(error.message.endsWith(error.fix)).toBe(true)
  })
})
