/** Takes jobs from the queue in Redis and runs them, several at once. */
import { hostname } from 'node:os'
import type { Worker } from 'bullmq'
import { Sam3AbortError, Sam3ServiceError } from 'sam3-node'
import { Checkpoint, sweepCheckpoints } from '../files/checkpoint.js'
import type { StopReason } from '../job/context.js'
import { failureOf, failureText, isPassing } from '../job/failure.js'
import { checkJob } from '../job/request.js'
import { runJob } from '../work/run.js'
import type { JobTools } from '../work/tools.js'
import { loadPackages, type QueuePackages } from './packages.js'
import { ProgressReport } from './progress-report.js'
import {
  CancelChannel,
  checkPlace,
  connectionOf,
  PREFIX,
  progressOf,
  type QueuePlace,
  type StoredJob,
} from './queue.js'

export interface WorkerOptions extends QueuePlace {
  /** Jobs at once. */
  concurrency: number
  /** Milliseconds after which a worker that says nothing is taken for dead, and its jobs are given to others. */
  lockMs: number
  /** How often a job may end its worker, or be taken from it, without finishing a part. */
  maxStarts: number
}

/** What a worker tells of what happens. */
export interface WorkerLog {
  info(about: object, text: string): void
  warn(about: object, text: string): void
}

/** Lines of one job's log that are kept in Redis. */
const MOST_LOGS = 1000

export class JobWorker {
  readonly #bullmq: QueuePackages['bullmq']
  readonly #tools: JobTools
  readonly #options: WorkerOptions
  readonly #log: WorkerLog
  readonly #cancels: CancelChannel
  readonly #worker: Worker
  readonly #running = new Set<string>()
  /** What jobs have left, while it is deleted. */
  readonly #cleaning = new Set<Promise<void>>()
  /** Jobs of which no more lines are kept. */
  readonly #fullLogs = new Set<string>()

  private constructor(packages: QueuePackages, tools: JobTools, options: WorkerOptions, log: WorkerLog) {
    this.#bullmq = packages.bullmq
    this.#tools = tools
    this.#options = options
    this.#log = log
    this.#cancels = new CancelChannel(packages, options, 'patient', (error) => this.#disconnected(error))
    this.#worker = new packages.bullmq.Worker(
      options.name,
      (job, token, signal) => this.#process(job, token!, signal!),
      {
        connection: connectionOf(options, 'patient'),
        prefix: PREFIX,
        name: `${hostname()}:${process.pid}`,
        concurrency: options.concurrency,
        autorun: false,
        lockDuration: options.lockMs,
        stalledInterval: options.lockMs,
        runRetryDelay: Math.min(15_000, options.lockMs),
        // `maxStarts` counts those alone that have finished nothing in between.
        maxStalledCount: Number.MAX_SAFE_INTEGER,
      },
    )
    this.#worker.on('error', (error) => this.#disconnected(error))
    this.#worker.on('lockRenewalFailed', (ids: string[]) => {
      for (const id of ids) this.#worker.cancelJob(id, 'lost' satisfies StopReason)
    })
    this.#worker.on('completed', (job) => {
      const done = this.#forget(job.id!).finally(() => this.#cleaning.delete(done))
      this.#cleaning.add(done)
    })
  }

  /**
   * Starts to take jobs.
   * @throws Sam3InputError `ERR_INVALID_ARGUMENT`; Sam3EnvironmentError `ERR_PACKAGE_MISSING`
   */
  static async start(tools: JobTools, options: WorkerOptions, log: WorkerLog): Promise<JobWorker> {
    checkPlace(options)
    const packages = await loadPackages()
    await sweepCheckpoints(tools.files.workFolder)
    const worker = new JobWorker(packages, tools, options, log)
    const cancel = (id: string) => worker.#worker.cancelJob(id, 'cancelled' satisfies StopReason)
    // While the connection was lost, wishes went unheard.
    const catchUp = async () => {
      for (const id of worker.#running) if (await worker.#cancels.isWished(id)) cancel(id)
    }
    await worker.#cancels.listen(cancel, () => void catchUp().catch(() => {}))
    worker.#worker.run().catch((error) => worker.#disconnected(error))
    return worker
  }

  /** Jobs that run. */
  get active(): number {
    return this.#running.size
  }

  /** Whether the queue can be asked. */
  get isConnected(): boolean {
    return this.#cancels.isConnected && this.#worker.isRunning()
  }

  /** Takes no more jobs. Those that run may end; when `signal` fires, the rest goes back into the queue as far as it is. */
  async close(signal: AbortSignal): Promise<void> {
    const stop = () => this.#worker.cancelAllJobs('draining' satisfies StopReason)
    const closed = this.#worker.close()
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    await closed
    signal.removeEventListener('abort', stop)
    await Promise.all(this.#cleaning)
    this.#cancels.close()
  }

  async #process(job: StoredJob, token: string, signal: AbortSignal): Promise<unknown> {
    const id = job.id!
    this.#running.add(id)
    const before = progressOf(job)
    const report = new ProgressReport(job, { ...before, starts: before.starts + 1 })
    try {
      this.#log.info({ job: id, kind: job.name, attempt: job.attemptsStarted }, 'job begins')
      if (await this.#cancels.isWished(id)) this.#worker.cancelJob(id, 'cancelled' satisfies StopReason)
      if (before.starts >= this.#options.maxStarts) throw givenUp(before.starts)
      await report.begin()
      const result = await runJob(checkJob(job.data), this.#tools, {
        id,
        signal,
        progress: (done, total) => report.set(done, total),
        log: (line) => this.#note(job, line),
        confirm: () => this.#confirm(job, token, signal),
      })
      await report.end()
      this.#log.info({ job: id, result }, 'job completed')
      return result
    } catch (error) {
      await report.end()
      return await this.#ended(job, token, signal, error)
    } finally {
      this.#running.delete(id)
      this.#fullLogs.delete(id)
    }
  }

  /** What a failure means for the queue. */
  async #ended(job: StoredJob, token: string, signal: AbortSignal, error: unknown): Promise<never> {
    const id = job.id!
    const { files } = this.#tools
    const aborted = error instanceof Sam3AbortError ? error.cause : undefined
    const reason: StopReason | undefined = signal.aborted ? signal.reason : aborted
    if (reason === 'lost') throw new Error('another worker has the job') // the queue takes no word from this one
    if (reason === 'draining') {
      const { starts, ...progress } = progressOf(job)
      await job.updateProgress({ ...progress, starts: Math.max(0, starts - 1) })
      await job.moveToWait(token)
      this.#log.info({ job: id }, 'job goes back into the queue')
      throw new this.#bullmq.WaitingError()
    }
    if (reason === 'cancelled') {
      await this.#forget(id)
      this.#log.info({ job: id }, 'job cancelled')
      throw new this.#bullmq.UnrecoverableError(failureText({ code: 'ABORT_ERR', detail: 'The job was cancelled.' }))
    }
    const failure = failureText(failureOf(error, (text) => files.hide(text)))
    await this.#cancels.forget(id)
    this.#log.warn({ job: id, error }, 'job failed')
    await this.#note(job, failure)
    throw isPassing(error) ? new Error(failure) : new this.#bullmq.UnrecoverableError(failure)
  }

  async #note(job: StoredJob, line: string): Promise<void> {
    if (this.#fullLogs.has(job.id!)) return
    const lines = await job.log(line)
    if (lines >= MOST_LOGS) this.#fullLogs.add(job.id!)
  }

  async #confirm(job: StoredJob, token: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new Sam3AbortError(signal.reason)
    const isOurs = await job.extendLock(token, this.#options.lockMs)
    if (!isOurs) throw new Sam3AbortError('lost' satisfies StopReason)
  }

  /** Nothing of an ended job is needed any more. */
  async #forget(id: string): Promise<void> {
    try {
      await new Checkpoint(this.#tools.files.workFolder, id).remove()
      await this.#cancels.forget(id)
    } catch (error) {
      this.#log.warn({ job: id, error }, 'what the job has left could not be deleted')
    }
  }

  #disconnected(error: Error): void {
    this.#log.warn({ error: error.message }, 'the queue')
  }
}

function givenUp(starts: number): Sam3ServiceError {
  return new Sam3ServiceError(
    'ERR_JOB_GIVEN_UP',
    `The job was begun ${starts} times without finishing a part, and its worker ended or was lost each time.`,
    { fix: 'Look into the logs of the workers; send the same job with the same id to try it again.' },
  )
}
