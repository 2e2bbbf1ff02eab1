/** Failures as clients see them: RFC 9457 problem JSON with our code and what to do about it. */
import { Sam3AbortError, Sam3Error, type Sam3ErrorCode, Sam3ServiceError } from 'sam3-node'

/** Media type of a problem. */
export const PROBLEM_TYPE = 'application/problem+json'

/** Status of an answer to a client that has gone: nobody reads it, logs and metrics show it (as nginx has it). */
export const CLIENT_GONE = 499

/** Statuses of the codes that are not about what was sent; those are 422. */
const STATUSES: Readonly<Partial<Record<Sam3ErrorCode, number>>> = {
  ABORT_ERR: CLIENT_GONE,
  ERR_BAD_REQUEST: 400,
  ERR_UNAUTHORIZED: 401,
  ERR_FORBIDDEN: 403,
  ERR_NOT_FOUND: 404,
  ERR_SESSION_CLOSED: 404,
  ERR_NOT_ACCEPTABLE: 406,
  ERR_SESSION_BUSY: 409,
  ERR_HISTORY_REQUIRED: 409,
  ERR_JOB_CONFLICT: 409,
  ERR_STREAM_CLOSED: 409,
  ERR_MEMORY_LIMIT: 409,
  ERR_TOO_LARGE: 413,
  ERR_UNSUPPORTED_MEDIA_TYPE: 415,
  ERR_RATE_LIMITED: 429,
  ERR_LIMIT_REACHED: 429,
  ERR_QUEUE_FULL: 429,
  ERR_INFERENCE: 500,
  ERR_INTERNAL: 500,
  ERR_NO_DETECTOR: 501,
  ERR_NO_TRACKER: 501,
  ERR_NOT_READY: 503,
  ERR_OVERLOADED: 503,
  ERR_REDIS_UNREACHABLE: 503,
  ERR_DISPOSED: 503,
  ERR_OUT_OF_MEMORY: 503,
  ERR_TIMEOUT: 504,
}

/** Short names of statuses, as `title`. */
const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not found',
  406: 'Not acceptable',
  409: 'Conflict',
  413: 'Too large',
  415: 'Unsupported media type',
  422: 'Cannot be processed',
  429: 'Too many requests',
  499: 'Client closed the request',
  500: 'Internal error',
  501: 'Not implemented by this model',
  503: 'Unavailable',
  504: 'Out of time',
}

/** The body of an answer that is a failure. */
export interface Problem {
  /** Names the kind of problem, by its code. */
  type: string
  title: string
  status: number
  /** What was wrong. */
  detail: string
  /** Stable, for programs. */
  code: Sam3ErrorCode
  /** What to do about it. */
  fix?: string
  /** The request, as in the log and in the header `X-Request-Id`. */
  requestId?: string
}

/** A failure, and what goes with it into the header. */
export interface Refusal {
  problem: Problem
  /** Seconds, for `Retry-After`. */
  retryAfter?: number
}

/** Errors of Fastify and its plugins, by their codes. */
const FRAMEWORK: readonly (readonly [RegExp, ConstructorParameters<typeof Sam3ServiceError>[0], string])[] = [
  [/TOO_LARGE|_LIMIT$/, 'ERR_TOO_LARGE', 'Send less in one request.'],
  [/MEDIA_TYPE|MULTIPART_CONTENT_TYPE/, 'ERR_UNSUPPORTED_MEDIA_TYPE', 'Send JSON, multipart/form-data or an image.'],
]

/** Any failure as one of ours. */
export function typedError(error: unknown): Sam3Error {
  // A deadline, a shutdown or a client that left is the reason of an abort: the reason is what counts.
  if (error instanceof Sam3AbortError) return error.cause instanceof Sam3Error ? error.cause : error
  if (error instanceof Sam3Error) return error
  const { code, statusCode } = (error ?? {}) as { code?: unknown; statusCode?: unknown }
  const name = typeof code === 'string' ? code : ''
  const known = FRAMEWORK.find(([pattern]) => name.startsWith('FST_') && pattern.test(name))
  const message = error instanceof Error ? sentence(error.message) : 'The request failed.'
  if (known) return new Sam3ServiceError(known[1], message, { fix: known[2], cause: error })
  const isTheirs = typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500
  if (isTheirs) return new Sam3ServiceError('ERR_BAD_REQUEST', message, { fix: 'Correct the request.', cause: error })
  return new InternalError(error)
}

/** What nobody but us can mend; the log has it whole, the client only the request's id. */
class InternalError extends Sam3Error {
  constructor(cause: unknown) {
    super('ERR_INTERNAL', 'An unexpected error.', { cause })
  }
}

const sentence = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`)

/**
 * An error as an answer. What says something of this machine (its files, its folders, what its drivers say) stays in the
 * log: only causes that lie in the request, or in how busy the service is, are told.
 */
export function toRefusal(error: unknown, requestId?: string): Refusal {
  const typed = typedError(error)
  const status = statusOf(typed)
  const isTold = status < 500 || typed instanceof Sam3ServiceError || status === 501
  const { code } = typed
  const problem: Problem = {
    type: `urn:sam3-node:error:${code}`,
    title: TITLES[status] ?? 'Error',
    status,
    detail: isTold ? detailOf(typed) : (UNTOLD[code] ?? 'The service cannot do this at present.'),
    code,
    fix: isTold ? typed.fix || undefined : REPORT,
    requestId,
  }
  return { problem, retryAfter: typed instanceof Sam3ServiceError ? typed.retryAfter : undefined }
}

const REPORT = "Try again; if it persists, look for the request's id in the log of the service."
const UNTOLD: Readonly<Partial<Record<Sam3ErrorCode, string>>> = {
  ERR_OUT_OF_MEMORY: 'The device has too little memory for this request at present.',
  ERR_DISPOSED: 'The model is no longer there.',
  ERR_INFERENCE: 'The network failed on this request.',
  ERR_INTERNAL: 'An unexpected error.',
}

/** The message without what `fix` repeats. */
function detailOf({ message, fix }: Sam3Error): string {
  return fix && message.endsWith(fix) ? message.slice(0, -fix.length).trim() : message
}

/** Status of an error's answer. */
export function statusOf({ code }: Sam3Error): number {
  const status = STATUSES[code]
  if (status !== undefined) return status
  return MACHINE.test(code) ? 503 : 422
}

/** Codes about this machine, its model files and its packages. */
const MACHINE =
  /^ERR_(LIBTORCH|ENGINE|BUNDLED|DEVICE|FFMPEG_NOT|PACKAGE|MODEL|WEIGHTS|PROGRAM|REVISION|OFFLINE|HUB|DOWNLOAD|CACHE|DISK|UNSAFE)/
