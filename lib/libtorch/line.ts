/** The line to a host of LibTorch: texts and files by fetch, with retries, and errors that say what to do. */
import { Sam3AbortError, Sam3EnvironmentError, Sam3Error, Sam3HubError } from '../base/errors.js'
import { HttpError, hostFetch } from '../download/fetch.js'
import { type Connection, connection, type Patience } from '../download/connection.js'
import { withRetries } from '../download/retry.js'
import type { ByteSource } from '../download/transfer.js'
import { ELSEWHERE } from './store.js'

const KEPT = 'Try again: what has arrived is kept. Behind a proxy or a mirror see docs/install.md.'

/** An address without the user name and password that a private index may have in it. */
export function publicAddress(url: string): string {
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`
}

export class Line {
  readonly connection: Connection

  constructor(signal: AbortSignal | undefined, patience: Patience = {}) {
    this.connection = connection(signal, patience)
  }

  /** @throws HttpError, RangeIgnoredError, errors of the network */
  #fetch(url: string, headers: Record<string, string>, signal?: AbortSignal): Promise<Response> {
    const target = new URL(url)
    const { username, password } = target
    target.username = target.password = ''
    if (username || password) {
      const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
      headers = { ...headers, authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
    }
    return hostFetch({ endpoint: target.origin, token: undefined, signal: signal ?? this.connection.signal })(target, {
      headers,
    })
  }

  /** A small text, tried again where that may help. `url`: where it was in the end. */
  async text(url: string, accept = '*/*'): Promise<{ text: string; type: string; url: string }> {
    return withRetries(
      async () => {
        const response = await this.#fetch(url, { accept })
        return { text: await response.text(), type: response.headers.get('content-type') ?? '', url: response.url }
      },
      this.connection.retry,
      this.connection.signal,
    )
  }

  /** Bytes of a file, by asking for the first of them. */
  async size(url: string): Promise<number> {
    return withRetries(
      async () => {
        const response = await this.#fetch(url, { range: 'bytes=0-0' })
        await response.body?.cancel()
        const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]
        const size = Number(total ?? response.headers.get('content-length'))
        if (!Number.isSafeInteger(size) || size <= 0)
          throw new Error(`${publicAddress(url)} does not say how long it is`)
        return size
      },
      this.connection.retry,
      this.connection.signal,
    )
  }

  /** A file as a source of a transfer. */
  source(url: string): ByteSource {
    return {
      origin: new URL(url).origin,
      fix: 'Try again later; if it stays, a proxy or a mirror alters the file.',
      open: async (offset, _attempt, signal) => {
        const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {}
        const { body } = await this.#fetch(url, headers, signal)
        if (!body) throw new Error('the answer has no body')
        return { stream: body as ReadableStream<Uint8Array> }
      },
    }
  }
}

/** A typed error with the fix for whatever went wrong while LibTorch was fetched or unpacked into `folder`. */
export function downloadError(error: unknown, what: string, folder: string, signal: AbortSignal | undefined): Error {
  if (signal?.aborted) return new Sam3AbortError(signal.reason)
  if (error instanceof Sam3Error) return error
  if (/^(?:EACCES|EPERM|EROFS|ENOTDIR|EEXIST)$/.test((error as NodeJS.ErrnoException).code ?? '')) {
    const text = `The folder of LibTorch ${folder} is not writable: ${(error as Error).message}.`
    const fix = `Make it writable for this user, or choose another one with ${ELSEWHERE}.`
    return new Sam3HubError('ERR_CACHE_NOT_WRITABLE', text, { cause: error, fix })
  }
  if (error instanceof HttpError)
    return new Sam3EnvironmentError('ERR_LIBTORCH_DOWNLOAD', `${what}: ${error.message}.`, { cause: error, fix: KEPT })
  const root = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (root instanceof Error && 'syscall' in root && 'path' in root) return root // the disk's own
  const message = root instanceof Error ? root.message : String(root)
  return new Sam3EnvironmentError('ERR_LIBTORCH_DOWNLOAD', `${what}: ${message}.`, { cause: error, fix: KEPT })
}
