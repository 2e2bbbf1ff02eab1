/**
 * Jobs in this very process: no Redis, the same interface. When the process ends they are forgotten, but for what they have
 * finished: the same job with the same id goes on there.
 */
import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { Sam3RuntimeError, Sam3ServiceError } from 'sam3-node'
import { Checkpoint } from '../files/checkpoint.js'
import type { JobContext, StopReason } from '../job/context.js'
import { failureOf, isPassing } from '../job/failure.js'
import type { JobRequest } from '../job/request.js'
import { type Cancelled, FINAL_STATES, type JobStore, type JobView } from '../job/store.js'
import { runJob } from '../work/run.js'
import type { JobTools } from '../work/tools.js'
import { conflict } from './errors.js'

export interface EmbeddedOptions {
  /** Jobs at once. */
  concurrency: number
  /** Jobs that may wait. */
  maxWaiting: number
  /** How often a job is tried. */
  attempts: number
  /** Ended jobs that are remembered. */
  kept: number
}

interface Entry {
  request: JobRequest
  view: JobView
  logs: string[]
  /** Since it was asked for. */
  failed: number
  stop: AbortController
  watchers: Set<() => void>
}

/** Lines of one job's log that are kept. */
export const MOST_LOGS = 1000

export class EmbeddedStore implements JobStore {
  readonly #tools: JobTools
  readonly #options: EmbeddedOptions
  readonly #jobs = new Map<string, Entry>()
  readonly #running = new Set<Promise<void>>()
  #isClosing = false

  constructor(tools: JobTools, options: EmbeddedOptions) {
    this.#tools = tools
    this.#options = options
  }

  async add(request: JobRequest, id: string = randomUUID()): Promise<JobView> {
    const known = this.#jobs.get(id)
    if (known && !isDeepStrictEqual(known.request, request)) throw conflict(id)
    if (known && known.view.state !== 'failed') return { ...known.view }
    if (this.#isClosing) {
      throw new Sam3ServiceError('ERR_NOT_READY', 'The service is shutting down.', { fix: 'Send it to another one.' })
    }
    if (this.#waiting().length >= this.#options.maxWaiting) {
      throw new Sam3RuntimeError('ERR_QUEUE_FULL', 'Too many jobs wait.', { fix: 'Wait until some have ended.' })
    }
    const now = new Date().toISOString()
    const entry: Entry = known ?? {
      request,
      view: {
        id,
        kind: request.kind,
        state: 'waiting',
        progress: { done: 0, total: 0 },
        attempts: 0,
        createdAt: now,
      },
      logs: [],
      failed: 0,
      stop: new AbortController(),
      watchers: new Set(),
    }
    if (known) {
      const { error: _error, finishedAt: _finished, ...view } = known.view
      Object.assign(known, { view: { ...view, state: 'waiting' }, failed: 0, stop: new AbortController() })
      this.#jobs.delete(id) // it goes to the end of the queue
    }
    this.#jobs.set(id, entry)
    this.#change(entry)
    this.#pump()
    return { ...entry.view }
  }

  async get(id: string): Promise<JobView | undefined> {
    const entry = this.#jobs.get(id)
    return entry && { ...entry.view }
  }

  async logs(id: string, from: number): Promise<string[]> {
    return this.#jobs.get(id)?.logs.slice(from) ?? []
  }

  async cancel(id: string): Promise<Cancelled | undefined> {
    const entry = this.#jobs.get(id)
    if (!entry) return undefined
    const { state } = entry.view
    if (FINAL_STATES.includes(state)) {
      this.#jobs.delete(id)
      await new Checkpoint(this.#tools.files.workFolder, id).remove()
      this.#change(entry)
      return 'removed'
    }
    if (state === 'waiting') {
      this.#end(entry, { state: 'cancelled' })
      return 'cancelled'
    }
    entry.view = { ...entry.view, state: 'cancelling' }
    entry.stop.abort('cancelled' satisfies StopReason)
    this.#change(entry)
    return 'cancelling'
  }

  watch(id: string, onChange: () => void): () => void {
    const watchers = this.#jobs.get(id)?.watchers
    watchers?.add(onChange)
    return () => watchers?.delete(onChange)
  }

  async counts(): Promise<{ waiting: number; active: number }> {
    return { waiting: this.#waiting().length, active: this.#running.size }
  }

  async close(): Promise<void> {
    this.#isClosing = true
    for (const { stop } of this.#jobs.values()) stop.abort('draining' satisfies StopReason)
    await Promise.all(this.#running)
  }

  #waiting(): Entry[] {
    return [...this.#jobs.values()].filter(({ view }) => view.state === 'waiting')
  }

  #pump(): void {
    while (!this.#isClosing && this.#running.size < this.#options.concurrency) {
      const [next] = this.#waiting()
      if (!next) return
      const work = this.#run(next).finally(() => {
        this.#running.delete(work)
        this.#pump()
      })
      this.#running.add(work)
    }
  }

  async #run(entry: Entry): Promise<void> {
    const { id } = entry.view
    const { signal } = entry.stop
    const context: JobContext = {
      id,
      signal,
      progress: (done, total) => {
        entry.view = { ...entry.view, progress: { done, total } }
        this.#change(entry)
      },
      log: async (line) => {
        if (entry.logs.length < MOST_LOGS) entry.logs.push(line)
      },
      confirm: async () => signal.throwIfAborted(),
    }
    for (;;) {
      const startedAt = new Date().toISOString()
      entry.view = { ...entry.view, state: 'active', startedAt, attempts: entry.view.attempts + 1 }
      this.#change(entry)
      try {
        const result = await runJob(entry.request, this.#tools, context)
        await new Checkpoint(this.#tools.files.workFolder, id).remove()
        return this.#end(entry, { state: 'completed', result })
      } catch (error) {
        if (signal.reason === 'cancelled') {
          await new Checkpoint(this.#tools.files.workFolder, id).remove()
          return this.#end(entry, { state: 'cancelled' })
        }
        const failure = failureOf(error, (text) => this.#tools.files.hide(text))
        await context.log(`${failure.code}: ${failure.detail}`)
        entry.failed++
        if (signal.aborted || !isPassing(error) || entry.failed >= this.#options.attempts)
          return this.#end(entry, { state: 'failed', error: failure })
      }
    }
  }

  #end(entry: Entry, what: Partial<JobView>): void {
    entry.view = { ...entry.view, ...what, finishedAt: new Date().toISOString() }
    this.#change(entry)
    const ended = [...this.#jobs.values()].filter(({ view }) => FINAL_STATES.includes(view.state))
    for (const { view } of ended.slice(0, Math.max(0, ended.length - this.#options.kept))) this.#jobs.delete(view.id)
  }

  #change({ watchers }: Entry): void {
    for (const tell of watchers) tell()
  }
}
