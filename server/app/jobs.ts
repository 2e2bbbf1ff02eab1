/** Puts jobs together: what they may use, and where they wait. */
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Gauge, type Registry } from 'prom-client'
import {
  Sam3EnvironmentError,
  Sam3Error,
  type Sam3ImageModel,
  Sam3ModelError,
  Sam3VideoModel,
  type VideoSession,
} from 'sam3-node'
import type { ServeConfig } from '../config/schema.js'
import { JobFiles, type Remote } from '../jobs/files/job-files.js'
import { Roots } from '../jobs/files/roots.js'
import type { JobStore } from '../jobs/job/store.js'
import { EmbeddedStore } from '../jobs/store/embedded-store.js'
import { RedisStore } from '../jobs/store/redis-store.js'
import { Slots } from '../jobs/work/slots.js'
import type { JobModel, JobTools } from '../jobs/work/tools.js'
import type { Pool, Work } from '../pool/pool.js'
import { checkUrl, fetchImage } from '../url/fetch-image.js'
import { fetchFile, sendFile } from '../url/files.js'
import { HostList } from '../url/hosts.js'

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` for a folder that is not there */
export function jobFilesOf(config: ServeConfig): JobFiles {
  const { jobRoots = [], jobFolder, maxPayloadBytes } = config
  const [first] = jobRoots
  const folder = jobFolder ?? (first === undefined ? join(tmpdir(), 'sam3-jobs') : join(first, '.sam3-jobs'))
  return new JobFiles(new Roots(jobRoots), resolve(folder), maxPayloadBytes, remoteOf(config))
}

/** Transfers from and to the hosts that are listed, where some are. */
function remoteOf(config: ServeConfig): Remote | undefined {
  const { urlHosts = [], urlTimeoutMs, transferTimeoutMs, maxPayloadBytes, maxTransferBytes } = config
  if (urlHosts.length === 0) return undefined
  const hosts = new HostList(urlHosts)
  const images = { hosts, maxBytes: maxPayloadBytes, timeoutMs: urlTimeoutMs }
  const files = { hosts, maxBytes: maxTransferBytes, timeoutMs: transferTimeoutMs }
  return {
    check: (address) => void checkUrl(address, hosts),
    read: (address, signal) => fetchImage(address, images, signal),
    download: (address, file, signal) => fetchFile(address, file, files, signal),
    upload: (file, address, signal) => sendFile(file, address, files, signal),
  }
}

/** One batch is computed while the images of the next are read. */
export const slotsOf = ({ maxBatchSize }: ServeConfig): Slots => new Slots(2 * maxBatchSize)

/** The queue in Redis where the options name one, else one in this process. */
export async function openJobStore(
  config: ServeConfig,
  pool: Pool,
  files: JobFiles,
  onError: (error: Error) => void,
): Promise<JobStore> {
  const { redis, queueName, jobAttempts, jobConcurrency, jobKeptSeconds, maxJobs } = config
  if (redis === undefined) {
    const tools: JobTools = { model: modelOf(pool), files, slots: slotsOf(config) }
    return new EmbeddedStore(tools, {
      concurrency: jobConcurrency,
      maxWaiting: maxJobs,
      attempts: jobAttempts,
      kept: REMEMBERED,
    })
  }
  const options = {
    url: redis,
    name: queueName,
    attempts: jobAttempts,
    maxWaiting: maxJobs,
    keptSeconds: jobKeptSeconds,
  }
  return RedisStore.open(options, onError)
}

/** Jobs that wait and run, for Prometheus; nothing of them where the queue cannot be asked. */
export function observeJobs(registry: Registry, jobs: JobStore): void {
  new Gauge({
    name: 'sam3_jobs',
    help: 'Jobs in the queue.',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      const counts = await jobs.counts().catch(() => undefined)
      this.reset()
      for (const [state, count] of Object.entries(counts ?? {})) this.set({ state }, count)
    },
  })
}

/** Ended jobs that are known to a service without Redis. */
const REMEMBERED = 1000
/** As whom jobs take turns with clients. */
const JOBS = 'jobs'
/** Milliseconds until a job asks again for room in the queue of requests. */
const PAUSE = 500

const deviceLost = () =>
  new Sam3EnvironmentError('ERR_DEVICE_UNAVAILABLE', 'The device failed while it followed the video.', {
    fix: 'Send the job again, with the same id.',
  })

/** The pool as jobs use it: they come behind the requests of clients, and wait where these are refused. */
function modelOf(pool: Pool): JobModel {
  const run = async <T>(share: number, signal = new AbortController().signal, work: Work<T>): Promise<T> => {
    for (;;) {
      try {
        return await pool.run({ client: JOBS, priority: 'low', share, signal }, work)
      } catch (error) {
        if (!(error instanceof Sam3Error && error.code === 'ERR_QUEUE_FULL')) throw error
        await pause(PAUSE, undefined, { signal })
      }
    }
  }
  const models = new WeakMap<VideoSession, Sam3ImageModel>()
  return {
    watch: (session, work) => pool.watch(models.get(session)!, work, deviceLost),
    segment: (image, prompts, options = {}) =>
      run(1, options.signal, (model, own) => model.segment(image, prompts, own)),
    startSession: (video, options = {}) =>
      run(0, options.signal, async (model) => {
        if (model instanceof Sam3VideoModel) {
          const session = await model.startSession(video, options)
          models.set(session, model)
          return session
        }
        throw new Sam3ModelError('ERR_NO_TRACKER', 'The model cannot follow objects through a video.', {
          fix: 'Serve weights that have a tracker.',
        })
      }),
  }
}
