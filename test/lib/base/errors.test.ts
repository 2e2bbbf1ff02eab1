import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  Sam3AbortError,
  Sam3EnvironmentError,
  Sam3Error,
  Sam3InputError,
  Sam3ModelError,
  Sam3RuntimeError,
} from '../../../lib/index.js'
import {
  ENVIRONMENT_CODES,
  ERROR_CODES,
  fromNativeError,
  INPUT_CODES,
  MODEL_CODES,
  RUNTIME_CODES,
} from '../../../lib/base/errors.js'
import { packageRoot } from '../../../lib/base/package-root.js'
import { loadEngine } from '../../../lib/native/loader.js'

const native = (code: string, message: string, fix?: string) =>
  Object.assign(new Error(message), fix === undefined ? { code } : { code, fix })

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
    const cause = native(code, 'It went wrong.', 'Do this.')
    const error = fromNativeError(cause)
    expect(error).toBeInstanceOf(type)
    expect(error).toMatchObject({ code, cause })
  })

  it('says the fix after the cause, and a general one where there is none', () => {
    const told = fromNativeError(native('ERR_WEIGHTS_CORRUPT', '/a. B/x.pt is damaged: 3.', 'Download it again.'))
    expect(told).toMatchObject({ fix: 'Download it again.' })
    expect(told.message).toBe('/a. B/x.pt is damaged: 3. Download it again.')
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

  // Those of the hub and of aborting never come from the engine.
  const CODES = [...INPUT_CODES, ...MODEL_CODES, ...ENVIRONMENT_CODES, ...RUNTIME_CODES]

  it.each(CODES)('%s without a fix of its own gets one', (code) => {
    const error = fromNativeError(native(code, 'Nothing to follow yet: add a text first.'))
    expect(error.code).toBe(code)
    expect(/report/i.test(error.message)).toBe(code === 'ERR_INFERENCE' || code === 'ERR_INTERNAL')
    expect(error.fix).not.toBe('')
    expect(error.message.endsWith(error.fix)).toBe(true)
  })
})

describe('the list of codes', () => {
  it('has every code of the engine', async () => {
    expect(ERROR_CODES).toEqual(expect.arrayContaining((await loadEngine()).errorCodes))
  })

  it('is in docs/errors.md', () => {
    const page = readFileSync(join(packageRoot(), 'docs/errors.md'), 'utf8')
    for (const code of ERROR_CODES) expect(page).toContain(`\`${code}\``)
  })
})
