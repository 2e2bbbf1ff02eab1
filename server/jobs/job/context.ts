/** What a job that runs can say and ask, wherever it runs. */

/** Why a job was stopped, as the reason of its signal. */
export type StopReason = 'cancelled' | 'draining' | 'lost'

export interface JobContext {
  readonly id: string
  /** Its `reason` is a `StopReason`. */
  readonly signal: AbortSignal
  /** Tells how far it is; returns at once. */
  progress(done: number, total: number): void
  /** Adds a line to its log. */
  log(line: string): Promise<void>
  /**
   * Asks whether the job is still this worker's, before anything is put where others see it.
   * @throws Sam3AbortError where another has it
   */
  confirm(): Promise<void>
}
