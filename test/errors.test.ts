import { describe, expect, it } from 'vitest'
import {
  Sam3AbortError,
  Sam3EnvironmentError,
  Sam3Error,
  Sam3InputError,
  Sam3ModelError,
  Sam3RuntimeError,
} from '../lib/index.js'
import { fromNativeError } from '../lib/errors.js'

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
})
