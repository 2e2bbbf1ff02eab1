/** Jobs in Redis or Valkey, through BullMQ: workers of any number of machines take them. */
import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Queue, QueueEvents } from 'bullmq'
import { Sam3RuntimeError, Sam3ServiceError } from 'sam3-node'
import type { JobRequest } from '../job/request.js'
import { readFailure } from '../job/failure.js'
import { type Cancelled, FINAL_STATES, type JobState, type JobStore, type JobView } from '../job/store.js'
import { conflict } from './errors.js'
import { loadPackages, type QueuePackages } from './packages.js'
import {
  CancelChannel,
  checkPlace,
  connectionOf,
  openQueue,
  PREFIX,
  progressOf,
  type QueuePlace,
  shownId,
  type StoredJob,
  storedId,
  type StoredProgress,
} from './queue.js'

export interface RedisOptions extends QueuePlace {
  /** How often a job is tried. */
  attempts: number
  /** Jobs that may wait. */
  maxWaiting: number
  /** Seconds for which ended jobs are remembered. */
  keptSeconds: number
}

/** Milliseconds for an answer of Redis. */
const PATIENCE = 5000
/** Milliseconds before a job that failed is tried again; doubled each time. */
const BACKOFF = 1000

/** What an id can be. With a colon it would be the name of something that belongs to a job, such as its lock. */
const ID = /^[\w-]{1,128}$/

/** What BullMQ calls the states in which a job waits. */
const STATES: Readonly<Record<string, JobState>> = { active: 'active', completed: 'completed', failed: 'failed' }

export class RedisStore implements JobStore {
  readonly #options: RedisOptions
  readonly #queue: Queue<JobRequest>
  readonly #events: QueueEvents
  readonly #cancels: CancelChannel
  readonly #watchers = new Map<string, Set<() => void>>()
  #isClosing = false

  /**
   * @param onError Told of failures of the connection, which mends itself.
   * @throws Sam3InputError `ERR_INVALID_ARGUMENT`; Sam3EnvironmentError `ERR_PACKAGE_MISSING`
   */
  static async open(options: RedisOptions, onError: (error: Error) => void): Promise<RedisStore> {
    checkPlace(options)
    return new RedisStore(await loadPackages(), options, onError)
  }

  private constructor(packages: QueuePackages, options: RedisOptions, onError: (error: Error) => void) {
    this.#options = options
    this.#queue = openQueue(packages, options)
    this.#cancels = new CancelChannel(packages, options, 'prompt', onError)
    this.#events = new packages.bullmq.QueueEvents(options.name, {
      connection: connectionOf(options, 'patient'),
      prefix: PREFIX,
    })
    this.#queue.on('error', onError)
    this.#events.on('error', onError)
    const tell = ({ jobId }: { jobId: string }) => {
      for (const watcher of this.#watchers.get(shownId(jobId)) ?? []) watcher()
    }
    for (const name of [
      'waiting',
      'active',
      'progress',
      'completed',
      'failed',
      'delayed',
      'stalled',
      'removed',
    ] as const)
      this.#events.on(name, tell)
  }

  async add(request: JobRequest, id: string = randomUUID()): Promise<JobView> {
    if (this.#isClosing) {
      throw new Sam3ServiceError('ERR_NOT_READY', 'The service is shutting down.', { fix: 'Send it to another one.' })
    }
    return this.#ask(async () => {
      if ((await this.#queue.getWaitingCount()) >= this.#options.maxWaiting) {
        throw new Sam3RuntimeError('ERR_QUEUE_FULL', 'Too many jobs wait.', { fix: 'Wait until some have ended.' })
      }
      // Where there is a job with this id already, nothing is added and nothing is changed.
      await this.#queue.add(request.kind, request, {
        jobId: storedId(id),
        attempts: this.#options.attempts,
        backoff: { type: 'exponential', delay: BACKOFF },
        removeOnComplete: { age: this.#options.keptSeconds },
        removeOnFail: { age: this.#options.keptSeconds },
      })
      const found = await this.#look(id)
      // It may have been cancelled by another client in this moment.
      if (!found || !isDeepStrictEqual(found.job.data, request)) throw conflict(id)
      const { job, view } = found
      if (view.state !== 'failed') return view
      await job.updateProgress({ ...progressOf(job), starts: 0 } satisfies StoredProgress)
      await job.retry('failed', { resetAttemptsMade: true })
      return (await this.#look(id))?.view ?? view
    })
  }

  async get(id: string): Promise<JobView | undefined> {
    return this.#ask(async () => (await this.#look(id))?.view)
  }

  async logs(id: string, from: number): Promise<string[]> {
    if (!ID.test(id)) return []
    return this.#ask(async () => (await this.#queue.getJobLogs(storedId(id), from)).logs)
  }

  async cancel(id: string): Promise<Cancelled | undefined> {
    return this.#ask(async () => {
      const found = await this.#look(id)
      if (!found) return undefined
      const { state } = found.view
      // A worker that takes it in this moment finds the wish.
      if (!FINAL_STATES.includes(state)) await this.#cancels.wish(storedId(id))
      try {
        await found.job.remove()
      } catch {
        return 'cancelling' // a worker has it
      }
      await this.#cancels.forget(storedId(id))
      return FINAL_STATES.includes(state) ? 'removed' : 'cancelled'
    })
  }

  watch(id: string, onChange: () => void): () => void {
    const watchers = this.#watchers.get(id) ?? new Set()
    this.#watchers.set(id, watchers.add(onChange))
    return () => {
      watchers.delete(onChange)
      if (watchers.size === 0) this.#watchers.delete(id)
    }
  }

  async counts(): Promise<{ waiting: number; active: number }> {
    return this.#ask(async () => {
      const { wait = 0, delayed = 0, active = 0 } = await this.#queue.getJobCounts('wait', 'delayed', 'active')
      return { waiting: wait + delayed, active }
    })
  }

  async close(): Promise<void> {
    this.#isClosing = true
    this.#cancels.close()
    await Promise.all([this.#queue.close(), this.#events.close()])
  }

  async #look(id: string): Promise<{ job: StoredJob; view: JobView } | undefined> {
    if (!ID.test(id)) return undefined
    // The state first: what is read behind the end of a job has its result.
    const name = await this.#queue.getJobState(storedId(id))
    const job: StoredJob | undefined = await this.#queue.getJob(storedId(id))
    return job && { job, view: await this.#view(job, STATES[name] ?? 'waiting') }
  }

  async #view(job: StoredJob, state: JobState): Promise<JobView> {
    const { done, total } = progressOf(job)
    const failure = state === 'failed' ? readFailure(job.failedReason) : undefined
    const isCancelled = failure?.code === 'ABORT_ERR'
    const isCancelling = state === 'active' && (await this.#cancels.isWished(job.id!))
    return {
      id: shownId(job.id!),
      kind: job.data.kind,
      state: isCancelled ? 'cancelled' : isCancelling ? 'cancelling' : state,
      progress: { done, total },
      attempts: job.attemptsStarted,
      createdAt: time(job.timestamp),
      ...(job.processedOn && { startedAt: time(job.processedOn) }),
      ...(job.finishedOn && { finishedAt: time(job.finishedOn) }),
      ...(state === 'completed' && { result: job.returnvalue }),
      ...(failure && !isCancelled && { error: failure }),
    }
  }

  /** @throws Sam3ServiceError `ERR_REDIS_UNREACHABLE` */
  async #ask<T>(question: () => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE} ms`)), PATIENCE)
    })
    const answer = question()
    answer.catch(() => {}) // it may come when nobody waits any more
    try {
      return await Promise.race([answer, late])
    } catch (cause) {
      if (cause instanceof Sam3ServiceError || cause instanceof Sam3RuntimeError) throw cause
      throw new Sam3ServiceError('ERR_REDIS_UNREACHABLE', 'The queue of jobs cannot be reached.', {
        cause,
        fix: 'Send the request again, with the same id, when Redis is back.',
        retryAfter: 5,
      })
    } finally {
      clearTimeout(timer)
    }
  }
}

const time = (milliseconds: number) => new Date(milliseconds).toISOString()
