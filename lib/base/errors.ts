/**
 * Every failure of this library is a {@link Sam3Error}: a stable `code` for programs, a `message` that
 * says what was wrong, and a `fix` that says what to do about it.
 */

import { recogniseInAllCopies } from './same-class.js'

/** Codes caused by what the caller passed in: an image, a box, a prompt, an option. */
export const INPUT_CODES = [
  'ERR_INVALID_ARGUMENT',
  'ERR_INVALID_IMAGE',
  'ERR_IMAGE_NOT_FOUND',
  'ERR_INVALID_BOX',
  'ERR_INVALID_POINT',
  'ERR_INVALID_MASK',
  'ERR_INVALID_FONT',
  'ERR_EMPTY_PROMPT',
  'ERR_INVALID_THRESHOLD',
  'ERR_INVALID_DTYPE',
  'ERR_INVALID_INPUT_SIZE',
  'ERR_VIDEO_NOT_FOUND',
  'ERR_INVALID_VIDEO',
  'ERR_INVALID_FRAME',
  'ERR_FRAME_SIZE',
  'ERR_NO_PROMPT',
  'ERR_UNKNOWN_OBJECT',
] as const
/** Codes caused by what the caller passed in: an image, a box, a prompt, an option. */
export type InputErrorCode = (typeof INPUT_CODES)[number]

/** Codes caused by a model folder, a weight file or a program. */
export const MODEL_CODES = [
  'ERR_MODEL_NOT_FOUND',
  'ERR_MODEL_FORMAT',
  'ERR_WEIGHTS_CORRUPT',
  'ERR_WEIGHTS_MISMATCH',
  'ERR_PROGRAM',
  'ERR_NO_TRACKER',
  'ERR_NO_DETECTOR',
] as const
/** Codes caused by a model folder, a weight file or a program. */
export type ModelErrorCode = (typeof MODEL_CODES)[number]

/** Codes caused by the machine or by how the library is installed: LibTorch, the native build, the device, ffmpeg. */
export const ENVIRONMENT_CODES = [
  'ERR_LIBTORCH_NOT_FOUND',
  'ERR_LIBTORCH_VERSION',
  'ERR_LIBTORCH_LOAD',
  'ERR_LIBTORCH_DOWNLOAD',
  'ERR_ENGINE_NOT_BUILT',
  'ERR_BUNDLED',
  'ERR_DEVICE_UNAVAILABLE',
  'ERR_FFMPEG_NOT_FOUND',
  'ERR_PACKAGE_MISSING',
] as const
/** Codes caused by the machine or by how the library is installed: LibTorch, the native build, the device, ffmpeg. */
export type EnvironmentErrorCode = (typeof ENVIRONMENT_CODES)[number]

/** Codes raised while a model or a video session is running. */
export const RUNTIME_CODES = [
  'ERR_DISPOSED',
  'ERR_QUEUE_FULL',
  'ERR_OUT_OF_MEMORY',
  'ERR_INFERENCE',
  'ERR_INTERNAL',
  'ERR_SESSION_CLOSED',
  'ERR_SESSION_BUSY',
  'ERR_HISTORY_REQUIRED',
  'ERR_MEMORY_LIMIT',
  'ERR_STREAM_CLOSED',
  'ERR_FFMPEG_FAILED',
] as const
/** Codes raised while a model or a video session is running. */
export type RuntimeErrorCode = (typeof RUNTIME_CODES)[number]

/** Codes raised while a model is looked for in the cache or fetched from the hub. */
export const HUB_CODES = [
  'ERR_MODEL_ACCESS',
  'ERR_REVISION_NOT_FOUND',
  'ERR_OFFLINE',
  'ERR_HUB_UNREACHABLE',
  'ERR_HUB_RESPONSE',
  'ERR_DOWNLOAD_CORRUPT',
  'ERR_CACHE_NOT_WRITABLE',
  'ERR_DISK_FULL',
  'ERR_UNSAFE_PATH',
] as const
/** Codes raised while a model is looked for in the cache or fetched from the hub. */
export type HubErrorCode = (typeof HUB_CODES)[number]

/** Why the hub refuses a model: what has to be done about it differs. */
export const ACCESS_REASONS = [
  'token-missing',
  'token-invalid',
  'token-scope',
  'not-granted',
  'pending',
  'rejected',
] as const
/** Why the hub refuses a model: what has to be done about it differs. */
export type AccessReason = (typeof ACCESS_REASONS)[number]

/** Codes that only the HTTP service (`sam3-node/server`) and its workers raise. */
export const SERVICE_CODES = [
  'ERR_BAD_REQUEST',
  'ERR_UNAUTHORIZED',
  'ERR_FORBIDDEN',
  'ERR_NOT_FOUND',
  'ERR_NOT_ACCEPTABLE',
  'ERR_TOO_LARGE',
  'ERR_UNSUPPORTED_MEDIA_TYPE',
  'ERR_RATE_LIMITED',
  'ERR_LIMIT_REACHED',
  'ERR_PATH_REFUSED',
  'ERR_JOB_CONFLICT',
  'ERR_JOB_GIVEN_UP',
  'ERR_REDIS_UNREACHABLE',
  'ERR_NOT_READY',
  'ERR_OVERLOADED',
  'ERR_TIMEOUT',
  'ERR_URL_REFUSED',
  'ERR_URL_FAILED',
] as const
/** Codes that only the HTTP service (`sam3-node/server`) and its workers raise. */
export type ServiceErrorCode = (typeof SERVICE_CODES)[number]

/** Every code, in the order of docs/errors.md. */
export const ERROR_CODES = [
  ...INPUT_CODES,
  ...MODEL_CODES,
  ...HUB_CODES,
  ...ENVIRONMENT_CODES,
  ...RUNTIME_CODES,
  ...SERVICE_CODES,
  'ABORT_ERR',
] as const
/** Every value that {@link Sam3Error.code} can take. Codes are part of the public API and do not change. */
export type Sam3ErrorCode = (typeof ERROR_CODES)[number]

/** What an error carries besides its message. */
export interface Sam3ErrorDetails {
  /** What the caller can do about it, as one imperative sentence. */
  fix?: string
  /** The lower-level error, if there was one. */
  cause?: unknown
}

/** Base class of every error thrown by this library. */
export class Sam3Error extends Error {
  /** Stable, machine-readable reason. */
  readonly code: Sam3ErrorCode
  /** What to do about it (also the last sentence of `message`), or an empty string. */
  readonly fix: string

  constructor(code: Sam3ErrorCode, message: string, details: Sam3ErrorDetails = {}) {
    const fix = details.fix ?? ''
    super(fix ? `${message} ${fix}` : message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.code = code
    this.fix = fix
  }
}

/** The caller passed something unusable: an image, a prompt, an option. */
export class Sam3InputError extends Sam3Error {
  constructor(code: InputErrorCode, message: string, details?: Sam3ErrorDetails) {
    super(code, message, details)
  }
}

/** A model folder, checkpoint or weight file is missing, damaged, not a SAM 3, or lacks the part that was asked. */
export class Sam3ModelError extends Sam3Error {
  constructor(code: ModelErrorCode, message: string, details?: Sam3ErrorDetails) {
    super(code, message, details)
  }
}

/** LibTorch, the native engine, the asked device or ffmpeg is missing or does not fit. */
export class Sam3EnvironmentError extends Sam3Error {
  constructor(code: EnvironmentErrorCode, message: string, details?: Sam3ErrorDetails) {
    super(code, message, details)
  }
}

/** A model could not be fetched: no access, no network, no room, or an answer that is not what was promised. */
export class Sam3HubError extends Sam3Error {
  /** Set with `ERR_MODEL_ACCESS`. */
  readonly reason?: AccessReason

  constructor(code: HubErrorCode, message: string, details: Sam3ErrorDetails & { reason?: AccessReason } = {}) {
    super(code, message, details)
    if (details.reason) this.reason = details.reason
  }
}

/** The model was disposed, its queue is full, memory ran out, inference failed, or a video session cannot do what it was asked. */
export class Sam3RuntimeError extends Sam3Error {
  constructor(code: RuntimeErrorCode, message: string, details?: Sam3ErrorDetails) {
    super(code, message, details)
  }
}

/** A request that the HTTP service refuses, or cannot answer now. */
export class Sam3ServiceError extends Sam3Error {
  /** Seconds after which the request may be sent again, where that is known. */
  readonly retryAfter?: number

  constructor(code: ServiceErrorCode, message: string, details: Sam3ErrorDetails & { retryAfter?: number } = {}) {
    super(code, message, details)
    if (details.retryAfter !== undefined) this.retryAfter = details.retryAfter
  }
}

/** The call was cancelled through its `AbortSignal`. `name` is `'AbortError'`, as Node's own APIs have it; `cause` is the signal's reason. */
export class Sam3AbortError extends Sam3Error {
  constructor(cause?: unknown) {
    super('ABORT_ERR', 'The operation was aborted.', { cause })
    this.name = 'AbortError'
  }
}

for (const [name, type] of Object.entries({
  Sam3Error,
  Sam3InputError,
  Sam3ModelError,
  Sam3EnvironmentError,
  Sam3HubError,
  Sam3RuntimeError,
  Sam3ServiceError,
  Sam3AbortError,
})) {
  recogniseInAllCopies(type, name)
}

/** What to do where the native layer says only the cause. */
const GENERAL_FIXES: Readonly<Partial<Record<string, string>>> = {
  ERR_NO_PROMPT: 'Call addPrompt(), addPoints() or addMask() first, then propagate().',
  ERR_UNKNOWN_OBJECT: 'Use an id of the results, or add a prompt for a new object.',
  ERR_DISPOSED: 'Build a new model, or encode the image again.',
  ERR_QUEUE_FULL: 'Wait for some calls to finish, or raise queueLimit.',
  ERR_OUT_OF_MEMORY: 'Ask for less at once: fewer images or prompts, or a smaller inputSize.',
  ERR_SESSION_CLOSED: 'Start a new session with startSession().',
  ERR_SESSION_BUSY: 'End the propagation that is under way first, or start another session.',
  ERR_HISTORY_REQUIRED: "Start the session with { history: 'full' }.",
  ERR_MEMORY_LIMIT: 'Raise memoryLimit, or leave history out.',
  ERR_STREAM_CLOSED: 'Open the video again.',
  ERR_FFMPEG_FAILED: 'Try the same with ffmpeg itself.',
}
const REPORT_IT = 'Please report it with the message and the stack of its cause.'

/** What the codes of one kind have in common: their class, and what to do where nothing better is known. */
function kind<C extends string>(
  codes: readonly C[],
  type: new (code: C, message: string, details: Sam3ErrorDetails) => Sam3Error,
  generalFix: string,
) {
  return (code: string, message: string, fix: string | undefined, cause: unknown): Sam3Error | undefined => {
    if (!codes.includes(code as C)) return undefined
    return new type(code as C, message, { cause, fix: fix ?? GENERAL_FIXES[code] ?? generalFix })
  }
}

// What is wrong with the caller's input, model or machine is not to be reported.
const KINDS = [
  kind(INPUT_CODES, Sam3InputError, 'Correct what was passed.'),
  kind(MODEL_CODES, Sam3ModelError, "Check the model's files, or download it again."),
  kind(ENVIRONMENT_CODES, Sam3EnvironmentError, 'Run sam3-node doctor: it says what is missing.'),
  kind(RUNTIME_CODES, Sam3RuntimeError, REPORT_IT),
]

/**
 * Gives an error of the native layer (a plain `Error` with a `code`, and mostly a `fix`) its class here. Anything without
 * a known code becomes `ERR_INTERNAL`.
 */
export function fromNativeError(error: unknown): Sam3Error {
  if (error instanceof Sam3Error) return error
  const { code = '', fix } = error instanceof Error ? (error as { code?: string; fix?: string }) : {}
  if (code === 'ABORT_ERR') return new Sam3AbortError(error)
  const message = (error instanceof Error ? error.message : String(error)).trim()
  for (const typed of KINDS) {
    const found = typed(code, message, fix, error)
    if (found) return found
  }
  return new Sam3RuntimeError('ERR_INTERNAL', `Unexpected error in the native engine: ${message}`, {
    cause: error,
    fix: REPORT_IT,
  })
}
