/** Errors of jobs as texts, which is all that a queue keeps of them. */
import type { Sam3Error } from 'sam3-node'
import { toRefusal, typedError } from '../../base/problem.js'
import type { JobFailure } from './store.js'

/** What a client may know of an error. */
export function failureOf(error: unknown, hide: (text: string) => string): JobFailure {
  const { code, detail, fix } = toRefusal(error).problem
  return { code, detail: hide(fix ? `${detail} ${fix}` : detail) }
}

export function failureText({ code, detail }: JobFailure): string {
  return `${code}: ${detail}`
}

/** The inverse of `failureText`; other texts are those of the queue itself. */
export function readFailure(text: string): JobFailure {
  const [, code, detail] = /^([A-Z]+(?:_[A-Z\d]+)+): ([\s\S]*)$/.exec(text) ?? []
  return code && detail !== undefined ? { code, detail } : { code: 'ERR_INTERNAL', detail: text }
}

/** Codes of what may be otherwise the next time. */
const PASSING =
  /^ERR_(QUEUE_FULL|OUT_OF_MEMORY|INFERENCE|INTERNAL|DISPOSED|MEMORY_LIMIT|FFMPEG|DISK|NOT_READY|OVERLOADED|RATE|TIMEOUT|URL_FAILED|DEVICE|REDIS|PACKAGE)/

/** Whether another try makes sense: what was asked for does not change, the machine may. */
export function isPassing(error: unknown): boolean {
  const { code }: Sam3Error = typedError(error)
  return PASSING.test(code)
}
