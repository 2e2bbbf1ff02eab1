/** The patience of a download: how often it is tried, and how long each wait may take. */
import { DEFAULT_TIMING, type LockTiming } from './lock.js'
import { DEFAULT_RETRY, type RetryPolicy } from './retry.js'

/** What holds for every request and every file of one download. */
export interface Connection {
  signal?: AbortSignal
  retry: RetryPolicy
  /** Milliseconds without a byte after which a connection counts as dead. */
  stallTimeout: number
  lock: LockTiming
}

const STALL_TIMEOUT = 30_000

/** How long to wait for what. The defaults are those of a user; tests are less patient. */
export interface Patience {
  retry?: Partial<RetryPolicy>
  stallTimeout?: number
  lock?: LockTiming
}

export function connection(signal: AbortSignal | undefined, patience: Patience): Connection {
  return {
    signal,
    retry: { ...DEFAULT_RETRY, ...patience.retry },
    stallTimeout: patience.stallTimeout ?? STALL_TIMEOUT,
    lock: patience.lock ?? DEFAULT_TIMING,
  }
}
