/** Checks of plain values that several prompts and options share. */
import { Sam3AbortError, Sam3InputError } from './errors.js'
import { shortened, shown } from './shown.js'

/** A check of one option, which may be left out: throws a Sam3InputError that names it. */
export type Check = (value: unknown, name: string) => unknown

/**
 * Refuses keys that nobody reads: a misspelt option would otherwise be ignored in silence.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`
 */
export function checkKeys(value: unknown, known: readonly string[], name: string): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} must be an object, not ${shown(value)}.`, {
      fix: `Its keys are: ${known.join(', ')}.`,
    })
  }
  const unknown = Object.keys(value).filter((key) => !known.includes(key))
  if (unknown.length > 0) {
    throw new Sam3InputError(
      'ERR_INVALID_ARGUMENT',
      `${name} has no key ${shortened(unknown.map((key) => `'${key}'`).join(', '))}.`,
      { fix: `Its keys are: ${known.join(', ')}.` },
    )
  }
}

/** @throws Sam3InputError `ERR_INVALID_THRESHOLD` unless `value` is a number from 0 to 1. */
export function checkThreshold(value: unknown): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) {
    throw new Sam3InputError(
      'ERR_INVALID_THRESHOLD',
      `The threshold must be a number from 0 to 1, not ${shown(value)}.`,
      { fix: 'Scores are probabilities; 0.5 is the default.' },
    )
  }
  return value
}

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` unless `value` is undefined or a whole number of at least `minimum`. */
export function checkWholeNumber(value: unknown, name: string, minimum: number): number | undefined {
  if (value === undefined) return undefined
  if (!Number.isSafeInteger(value) || (value as number) < minimum) {
    throw new Sam3InputError(
      'ERR_INVALID_ARGUMENT',
      `${name} must be a whole number of at least ${minimum}, not ${shown(value)}.`,
      { fix: 'Leave it out for the default.' },
    )
  }
  return value as number
}

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` unless `value` is undefined or a function that is told of progress. */
export function checkListener(value: unknown, name: string): void {
  if (value === undefined || typeof value === 'function') return
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} must be a function.`, {
    fix: 'Leave it out for no progress.',
  })
}

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` unless `value` is undefined or a boolean. */
export function checkBoolean(value: unknown, name: string): boolean {
  if (value !== undefined && typeof value !== 'boolean') {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} must be true or false, not ${shown(value)}.`, {
      fix: 'Leave it out for the default.',
    })
  }
  return value ?? false
}

/** @throws Sam3AbortError when the signal has fired already, Sam3InputError when it is no AbortSignal. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined) return
  if (!(signal instanceof AbortSignal)) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'signal must be an AbortSignal.', {
      fix: 'Pass new AbortController().signal.',
    })
  }
  if (signal.aborted) throw new Sam3AbortError(signal.reason)
}
