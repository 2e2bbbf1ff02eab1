/** Runs any job. */
import type { JobContext } from '../job/context.js'
import type { JobRequest } from '../job/request.js'
import { runSegment } from './segment.js'
import type { JobTools } from './tools.js'
import { runTrack } from './track.js'

/**
 * Runs a job, or goes on where an earlier try has ended.
 * @returns its result
 * @throws Sam3Error; Sam3AbortError where its signal has fired
 */
export function runJob(job: JobRequest, tools: JobTools, context: JobContext): Promise<unknown> {
  return job.kind === 'segment' ? runSegment(job, tools, context) : runTrack(job, tools, context)
}
