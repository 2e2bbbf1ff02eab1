/** Starts and stops a worker: a model, jobs from the queue in Redis, and a few pages for probes. */
import fastify, { type FastifyInstance, LogController } from 'fastify'
import { Sam3InputError, type Sam3VideoModel } from 'sam3-node'
import type { ServeConfig } from '../config/schema.js'
import { Device } from '../pool/device.js'
import { loadPackages } from '../jobs/store/packages.js'
import { checkPlace } from '../jobs/store/queue.js'
import { JobWorker } from '../jobs/store/worker.js'
import { jobFilesOf, slotsOf } from './jobs.js'
import { listen } from './listen.js'
import { loadModel } from './start.js'
import { probes, watched } from './worker-device.js'
import { warmUp } from './warm-up.js'

export interface StartedWorker {
  readonly app: FastifyInstance
  /** Resolves when it takes jobs; rejects where the model cannot be loaded. */
  readonly ready: Promise<void>
  /** Takes no more jobs. Those that run have `shutdownTimeoutMs` to end; then they go back into the queue as far as they are. */
  close(): Promise<void>
}

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT`; Sam3EnvironmentError `ERR_PACKAGE_MISSING` */
export async function startWorker(config: ServeConfig): Promise<StartedWorker> {
  const { redis } = config
  if (redis === undefined) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'A worker needs to know where its jobs are.', {
      fix: 'Name Redis or Valkey: --redis redis://host:6379.',
    })
  }
  checkPlace({ url: redis, name: config.queueName })
  await loadPackages() // what is missing is told before a model is loaded
  const files = jobFilesOf(config)
  const app = fastify({
    logger: { level: config.logLevel },
    logController: new LogController({ disableRequestLogging: true }),
  })
  const stop = new AbortController()
  let device: Device | undefined
  let worker: JobWorker | undefined
  probes(app, () => ({ device, worker, isClosing: stop.signal.aborted }))
  await listen(app, config)

  let ending: Promise<void> | undefined
  const endWork = () => (ending ??= worker?.close(AbortSignal.timeout(config.shutdownTimeoutMs)))
  const load = async () => {
    const loaded = (await loadModel(config, stop.signal)) as Sam3VideoModel
    const { info } = loaded
    const own = new Device(info.device, loaded, config.deviceTimeoutMs)
    own.onOut = () => {
      app.log.error({ device: own.name, err: own.failure }, `device ${own.state}`)
      void endWork() // others take the jobs
    }
    device = own
    if (config.warmup) await warmUp(loaded)
    worker = await JobWorker.start(
      { model: watched(loaded, own), files, slots: slotsOf(config) },
      {
        url: redis,
        name: config.queueName,
        concurrency: config.jobConcurrency,
        lockMs: config.jobLockMs,
        maxStarts: config.jobMaxStarts,
      },
      app.log,
    )
    app.log.info({ model: info }, 'takes jobs')
  }
  const ready = load()
  ready.catch(() => {}) // whoever waits for it is told
  let closing: Promise<void> | undefined
  const close = async () => {
    stop.abort()
    await ready.catch(() => {})
    await endWork()
    device?.stop()
    const freed = device?.model.dispose()
    if (device?.state !== 'stalled') await freed
    await app.close()
  }
  return { app, ready, close: () => (closing ??= close()) }
}
