/**
 * A `fetch` for downloads from one host: it sends the token to it and to no other, follows redirects itself for that
 * reason, ends what hangs, and turns refusals into errors that can be told apart. @huggingface/hub is given it too.
 */

/** The host, or the server it sent us to, refused. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    /** `X-Error-Code` of the hub, such as `GatedRepo`, `RevisionNotFound`, `EntryNotFound`. */
    readonly errorCode: string,
    /** What the server said. */
    readonly said: string,
    /** Milliseconds that `Retry-After` asks for. */
    readonly retryAfter: number | undefined,
  ) {
    super(`HTTP ${status}${said ? `: ${said}` : ''}`)
  }
}

/** The server ignored the range that was asked for, and would send bytes that are there already. */
export class RangeIgnoredError extends Error {}

const MAX_REDIRECTS = 10
/** Milliseconds until a server must have begun to answer. */
const ANSWER_TIMEOUT = 30_000
/** Most of a body of an error that is read. */
const MAX_ERROR_TEXT = 2_000

/** `Retry-After` in milliseconds: a number of seconds, or a date. */
export function parseRetryAfter(header: string | null, now: number = Date.now()): number | undefined {
  if (!header) return undefined
  const seconds = Number(header)
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined
}

async function refusal(response: Response): Promise<HttpError> {
  const text = (await response.text().catch(() => '')).slice(0, MAX_ERROR_TEXT)
  let said = response.headers.get('x-error-message') ?? ''
  if (!said && response.headers.get('content-type')?.includes('json')) {
    try {
      said = String((JSON.parse(text) as { error?: unknown }).error ?? '')
    } catch {
      // no JSON after all: the status has to do
    }
  }
  const code = response.headers.get('x-error-code') ?? ''
  return new HttpError(response.status, code, said, parseRetryAfter(response.headers.get('retry-after')))
}

/** Whether a range that begins after the start was honoured. */
function isRangeHonoured(asked: string | null, response: Response): boolean {
  const start = Number(/^bytes=(\d+)-/.exec(asked ?? '')?.[1] ?? 0)
  if (start === 0) return true
  return response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${start}-`) === true
}

/** What a fetch is made of. */
export interface HostFetchOptions {
  endpoint: string
  token: string | undefined
  signal?: AbortSignal
  answerTimeout?: number
}

/** Makes the fetch. Errors: {@link HttpError}, {@link RangeIgnoredError}, and those of the network. */
export function hostFetch({ endpoint, token, signal, answerTimeout = ANSWER_TIMEOUT }: HostFetchOptions): typeof fetch {
  const home = new URL(endpoint).origin

  const once = async (url: URL, init: RequestInit, headers: Headers): Promise<Response> => {
    const timer = new AbortController()
    const late = setTimeout(
      () => timer.abort(new Error(`${url.host} did not answer for ${answerTimeout / 1000} s`)),
      answerTimeout,
    )
    const signals = [timer.signal, signal, init.signal].filter((one) => one instanceof AbortSignal)
    try {
      return await fetch(url, { ...init, headers, redirect: 'manual', signal: AbortSignal.any(signals) })
    } finally {
      clearTimeout(late) // the body has a watch of its own
    }
  }

  return async (input, init = {}) => {
    let url = new URL(input instanceof Request ? input.url : String(input))
    const isHome = url.origin === home
    const headers = new Headers(init.headers)
    // Sizes and ranges are those of the files themselves.
    headers.set('accept-encoding', 'identity')
    // Xet's own servers have tokens of their own, which @huggingface/hub sets.
    if (isHome && token && !headers.has('authorization')) headers.set('authorization', `Bearer ${token}`)
    for (let redirects = 0; ; redirects++) {
      const response = await once(url, init, headers)
      const location = response.headers.get('location')
      if (response.status >= 300 && response.status < 400 && location) {
        await response.body?.cancel()
        if (redirects === MAX_REDIRECTS) throw new Error(`${url.host} redirects in a circle`)
        const next = new URL(location, url)
        if (next.origin !== url.origin) headers.delete('authorization')
        url = next
        continue
      }
      // Refusals of Xet's servers are answered by @huggingface/hub itself, which asks for a new token.
      if (!isHome) return response
      if (!response.ok) throw await refusal(response)
      if (!isRangeHonoured(headers.get('range'), response)) {
        await response.body?.cancel()
        throw new RangeIgnoredError()
      }
      return response
    }
  }
}
