/** Tries again what may succeed the next time. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Sam3Error } from '../base/errors.js'
import { HttpError } from './fetch.js'

/** Times in milliseconds. */
export interface RetryPolicy {
  /** Tries in a row without any progress. */
  attempts: number
  /** The first pause; each further one is twice as long, with a random part so that many clients spread out. */
  pause: number
  longestPause: number
  /** The longest `Retry-After` that is waited for; after that, the user decides. */
  longestRetryAfter: number
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 6, pause: 500, longestPause: 30_000, longestRetryAfter: 600_000 }

const RETRYABLE = new Set([408, 425, 429, 500, 502, 503, 504])

/** Whether an error may be gone the next time: overload, a broken connection, a hanging server. */
export function isPassing(error: unknown): boolean {
  if (error instanceof HttpError) return RETRYABLE.has(error.status)
  if (error instanceof Sam3Error) return false
  const { code, name } = error as NodeJS.ErrnoException
  // The disk's own errors have a code and a path or a system call; those of the network come wrapped by fetch.
  return (
    name !== 'AbortError' && !/^(?:ENOSPC|EDQUOT|EACCES|EPERM|EROFS|ENOTDIR|EISDIR|ELOOP|EIO|EMFILE)$/.test(code ?? '')
  )
}

/** How long to wait before try number `attempt` (from 1), or undefined to give up. */
export function pauseBefore(attempt: number, error: unknown, policy: RetryPolicy): number | undefined {
  if (attempt >= policy.attempts || !isPassing(error)) return undefined
  const asked = error instanceof HttpError ? error.retryAfter : undefined
  if (asked !== undefined) return asked <= policy.longestRetryAfter ? asked : undefined
  const pause = Math.min(policy.longestPause, policy.pause * 2 ** (attempt - 1))
  return pause * (0.75 + Math.random() / 2)
}

/** Runs `action` until it succeeds, fails for good, or has failed too often. */
export async function withRetries<T>(action: () => Promise<T>, policy: RetryPolicy, signal?: AbortSignal): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action()
    } catch (error) {
      signal?.throwIfAborted()
      const pause = pauseBefore(attempt, error, policy)
      if (pause === undefined) throw error
      await sleep(pause, undefined, { signal })
    }
  }
}
