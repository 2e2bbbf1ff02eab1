/** Where jobs wait and are known: in this process, or in Redis. */
import type { JobRequest } from './request.js'

/** `cancelling`: its worker was told, and has not answered yet. */
export type JobState = 'waiting' | 'active' | 'cancelling' | 'completed' | 'failed' | 'cancelled'

/** States that do not change any more. */
export const FINAL_STATES: readonly JobState[] = ['completed', 'failed', 'cancelled']

/** How far a job is, in images or frames. */
export interface JobProgress {
  done: number
  /** 0 while it is not known. */
  total: number
}

/** Why a job failed. */
export interface JobFailure {
  code: string
  detail: string
}

/** A job as clients see it. Times are ISO 8601. */
export interface JobView {
  id: string
  kind: JobRequest['kind']
  state: JobState
  progress: JobProgress
  /** How often it was begun. */
  attempts: number
  createdAt: string
  startedAt?: string
  finishedAt?: string
  /** What came of it. */
  result?: unknown
  error?: JobFailure
}

/** What became of a wish to cancel: a job that had ended is forgotten. */
export type Cancelled = 'cancelled' | 'cancelling' | 'removed'

/** Jobs that wait, run and have ended. */
export interface JobStore {
  /**
   * Adds a job. A job with the same `id` is that job: it is not added again, and one that failed is tried again.
   * @throws Sam3RuntimeError `ERR_QUEUE_FULL`; Sam3ServiceError `ERR_JOB_CONFLICT` for another job with this id,
   * `ERR_NOT_READY` while shutting down, `ERR_REDIS_UNREACHABLE`
   */
  add(job: JobRequest, id?: string): Promise<JobView>
  get(id: string): Promise<JobView | undefined>
  /** Lines of the job's log from the one numbered `from` on. */
  logs(id: string, from: number): Promise<string[]>
  /** Undefined: there is no such job. */
  cancel(id: string): Promise<Cancelled | undefined>
  /** Calls `onChange` when there may be news of a job, until the function that it gives is called. */
  watch(id: string, onChange: () => void): () => void
  /** Jobs by state, for metrics. */
  counts(): Promise<{ waiting: number; active: number }>
  /** Takes no more jobs, and stops those that run in this process. */
  close(): Promise<void>
}
