/** Options of jobs: of the service that takes them, and of the workers that run them. */
import Type from 'typebox'

const group = 'Jobs'
const whole = (description: string, fallback: number, minimum = 1) =>
  Type.Integer({ description, group, default: fallback, minimum, maximum: Number.MAX_SAFE_INTEGER })
const optionalText = (description: string) => Type.Optional(Type.String({ description, group, minLength: 1 }))

export const JOB_OPTIONS = {
  redis: optionalText('redis:// or rediss:// address of the queue of jobs (default: jobs run in the service itself)'),
  queueName: Type.String({
    description: 'name of the queue in Redis',
    group,
    default: 'jobs',
    pattern: '^[A-Za-z0-9_-]{1,64}$',
  }),
  jobRoots: Type.Optional(
    Type.Array(Type.String({ minLength: 1 }), {
      description: 'folders that jobs may read and write, separated by commas (default: none)',
      group,
    }),
  ),
  jobFolder: optionalText(
    'folder for what jobs have finished, the same for all workers (default: .sam3-jobs in the first of job-roots)',
  ),
  jobConcurrency: whole('jobs at once in one process', 2),
  jobAttempts: whole('how often a job is tried where the machine fails', 3),
  jobMaxStarts: whole('how often a job may end its worker without getting further, before it is given up', 5),
  jobLockMs: whole('a worker that is silent for so many milliseconds is taken for dead', 30_000, 100),
  jobKeptSeconds: whole('ended jobs are remembered for so many seconds', 7 * 24 * 60 * 60),
  maxTransferBytes: whole('bytes of a video that a job fetches from an address', 16 * 2 ** 30),
  transferTimeoutMs: whole('a file that a job fetches or sends has this long', 30 * 60_000),
  maxJobs: whole('jobs that may wait; further ones get 429', 10_000),
}
