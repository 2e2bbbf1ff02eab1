/** Tells Redis how far a job is, without making the job wait: of what comes while one report is under way, the last counts. */
import type { StoredJob, StoredProgress } from './queue.js'

export class ProgressReport {
  readonly #job: StoredJob
  readonly #before: StoredProgress
  #next: StoredProgress | undefined
  #pump: Promise<void> | undefined

  /** @param before How far it was, with this start counted. */
  constructor(job: StoredJob, before: StoredProgress) {
    this.#job = job
    this.#before = before
  }

  /** Resolves when it is kept that the job was begun. */
  async begin(): Promise<void> {
    await this.#job.updateProgress(this.#before)
  }

  /** A job that comes further than ever before ends no worker: its starts are counted anew. */
  set(done: number, total: number): void {
    const { best, starts } = this.#before
    this.#next = { done, total, best: Math.max(best, done), starts: done > best ? 0 : starts }
    this.#pump ??= this.#send().finally(() => {
      this.#pump = undefined
    })
  }

  /** Resolves when the last report has arrived. */
  async end(): Promise<void> {
    await this.#pump
  }

  async #send(): Promise<void> {
    while (this.#next) {
      const next = this.#next
      this.#next = undefined
      // A report that does not arrive is made good by the next one, or by the job's end.
      await this.#job.updateProgress(next).catch(() => {})
    }
  }
}
