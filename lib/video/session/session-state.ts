/** What a session and its propagation share: the engine's session, the source, and the rules that hold for every call. */
import { fromNativeError, Sam3Error, Sam3InputError, Sam3RuntimeError } from '../../base/errors.js'
import type { Runtime } from '../../model/runtime.js'
import type { NativeCancelToken, NativeFrameResult, NativeSession } from '../../native/contract.js'
import { FrameReader } from './frame-reader.js'
import type { SessionSettings } from './options.js'
import { type FrameResult, toFrameResult } from './results.js'
import type { FrameSource, LiveSource, SourceFrame } from '../source/types.js'

/** Whether frames are pushed into a source. */
export function isLive(source: FrameSource): source is LiveSource {
  return typeof (source as Partial<LiveSource>).push === 'function'
}

/** The error of every call of a closed session. */
export function sessionClosed(): Sam3RuntimeError {
  return new Sam3RuntimeError('ERR_SESSION_CLOSED', 'The session was closed.', {
    fix: 'Start a new one with startSession().',
  })
}

/** A call of the engine's session on a frame; `image` is null where the engine may hold its pixels. */
export type FrameCall<T> = (
  native: NativeSession,
  index: number,
  image: SourceFrame | null,
  token: NativeCancelToken | undefined,
) => Promise<T>

/** One session from its opening to its end. */
export class SessionState {
  readonly runtime: Runtime
  readonly native: NativeSession
  readonly source: FrameSource
  readonly reader: FrameReader
  readonly settings: SessionSettings
  /** Texts by concept; undefined for exemplars only. */
  readonly texts = new Map<number, string | undefined>()
  /** The propagation under way. */
  run: { end(error?: Sam3Error): Promise<void> } | undefined
  readonly #onClosed: (state: SessionState) => void
  #closing: Promise<void> | undefined

  constructor(
    runtime: Runtime,
    native: NativeSession,
    source: FrameSource,
    settings: SessionSettings,
    onClosed: (state: SessionState) => void,
  ) {
    this.runtime = runtime
    this.native = native
    this.source = source
    this.settings = settings
    this.reader = new FrameReader(source)
    this.#onClosed = onClosed
  }

  /** @throws Sam3RuntimeError `ERR_SESSION_CLOSED`, `ERR_DISPOSED` */
  checkOpen(): void {
    this.runtime.checkAlive()
    if (this.#closing) throw sessionClosed()
  }

  /** Runs one call of the engine's session. What fails because the session is being closed says so. */
  async call<T>(
    call: (native: NativeSession, token: NativeCancelToken | undefined) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    this.checkOpen()
    return this.whileOpen(this.runtime.run({ signal }, (token) => call(this.native, token)))
  }

  /** Passes a result on; an error of a closed session becomes the one that says that it was closed. */
  async whileOpen<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      const isDisposed = error instanceof Sam3Error && error.code === 'ERR_DISPOSED'
      throw this.#closing && !isDisposed ? sessionClosed() : error
    }
  }

  /**
   * Runs a call on a frame: without its pixels where the engine holds them, and only where it does not with those that
   * the source gives. To ask first whether it holds them would not do: other calls come in between. Where a live frame
   * was dropped, the next one takes its place.
   * @throws Sam3InputError `ERR_INVALID_FRAME` past the end, and what the call and the source throw
   */
  async onFrame<T>(index: number, call: FrameCall<T>, signal: AbortSignal | undefined): Promise<T> {
    try {
      return await this.call((native, token) => call(native, index, null, token), signal)
    } catch (error) {
      if (!(error instanceof Sam3Error) || error.code !== 'ERR_INVALID_FRAME') throw error
    }
    const image = await this.whileOpen(this.reader.read(index, signal))
    if (image && (image.index === index || isLive(this.source))) {
      return this.call((native, token) => call(native, image.index, image, token), signal)
    }
    throw new Sam3InputError('ERR_INVALID_FRAME', `The video has no frame ${index}.`, {
      fix: 'Prompt a frame before the end of the video.',
    })
  }

  /** A result as users hold it. */
  toResult(native: NativeFrameResult): FrameResult {
    const { source, reader, texts } = this
    const timestamp = (index: number) => reader.timestamp(index)
    return toFrameResult(native, { width: source.width, height: source.height, timestamp, texts })
  }

  /** Ends what runs and gives everything back. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await undefined // so that what ends because of this sees that the session is closed
    const run = this.run
    const ended = await Promise.allSettled([
      run?.end(sessionClosed()),
      this.native.close().catch((error: unknown) => {
        throw fromNativeError(error)
      }),
      this.source.close(),
    ])
    this.#onClosed(this)
    for (const part of ended) if (part.status === 'rejected') throw part.reason
  }
}
