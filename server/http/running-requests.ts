/** The requests that are being worked on, and when their work ends early: the client left, time is up, or the service must stop. */
import type { FastifyReply } from 'fastify'
import { Sam3AbortError, type Sam3Error, Sam3ServiceError } from 'sam3-node'
import { traced } from './observe-requests.js'

/** The work for one request. */
export interface Running {
  /** Fires when the work has to stop; its reason is a typed error. */
  readonly signal: AbortSignal
  /** Stops it after so many milliseconds from now, where that is before its end. */
  limit(timeoutMs: number | undefined): void
  /** Stops it now. */
  stop(reason: Sam3Error): void
}

/** The requests that are being worked on. */
export class RunningRequests {
  readonly #timeoutMs: number
  readonly #all = new Set<AbortController>()
  #onIdle: (() => void)[] = []

  /** @param timeoutMs Longest time for each, in milliseconds. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  /**
   * Runs `work`, all of it: also what sends an answer line by line.
   * @param longest Milliseconds, in place of those of the service; `Infinity`: as long as its client stays.
   */
  async within<T>(
    reply: FastifyReply,
    work: (running: Running) => Promise<T>,
    longest: number = this.#timeoutMs,
  ): Promise<T> {
    const controller = new AbortController()
    this.#all.add(controller)
    const timers = new Set<NodeJS.Timeout>()
    const stop = (reason: Sam3Error) => controller.abort(reason)
    const limit = (timeoutMs = longest) => {
      if (timeoutMs <= longest && Number.isFinite(timeoutMs))
        timers.add(setTimeout(() => stop(late(timeoutMs)), timeoutMs))
    }
    limit()
    const left = () => {
      if (!reply.raw.writableFinished) controller.abort(new Sam3AbortError('the client left'))
    }
    reply.raw.once('close', left)
    try {
      return await traced(reply.request, () => work({ signal: controller.signal, limit, stop }))
    } finally {
      for (const timer of timers) clearTimeout(timer)
      reply.raw.removeListener('close', left)
      this.#all.delete(controller)
      if (this.#all.size === 0) for (const tell of this.#onIdle.splice(0)) tell()
    }
  }

  /** Resolves when none is left. */
  async idle(): Promise<void> {
    if (this.#all.size > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve))
  }

  /** Stops all of them. */
  stop(): void {
    const reason = new Sam3ServiceError('ERR_NOT_READY', 'The service shut down before the request was done.', {
      fix: 'Send the request to another one.',
    })
    for (const controller of this.#all) controller.abort(reason)
  }
}

function late(timeoutMs: number): Sam3ServiceError {
  return new Sam3ServiceError(
    'ERR_TIMEOUT',
    `The request was not done within ${timeoutMs / 1000} s, and was stopped.`,
    {
      fix: 'Ask for less at once, or allow more time.',
    },
  )
}
