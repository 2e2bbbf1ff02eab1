/** Starts and stops a worker: a model, jobs from the queue in Redis, and a few pages for probes. */
import fastify, { type FastifyInstance, LogController } from 'fastify'
import { Sam3InputError, type Sam3VideoModel } from 'sam3-node'
import { Gauge, Registry } from 'prom-client'
import type { ServeConfig } from '../config/schema.js'
import { loadPackages } from '../jobs/store/packages.js'
import { checkPlace } from '../jobs/store/queue.js'
import { JobWorker } from '../jobs/store/worker.js'
import { jobFilesOf, slotsOf } from './jobs.js'
import { loadModel } from './start.js'
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
  let model: Sam3VideoModel | undefined
  let worker: JobWorker | undefined
  probes(app, () => ({ model, worker, isClosing: stop.signal.aborted }))
  await app.listen({ host: config.host, port: config.port })

  const load = async () => {
    const loaded = (await loadModel(config, stop.signal)) as Sam3VideoModel
    model = loaded
    if (config.warmup) await warmUp(loaded)
    worker = await JobWorker.start(
      { model: loaded, files, slots: slotsOf(config) },
      {
        url: redis,
        name: config.queueName,
        concurrency: config.jobConcurrency,
        lockMs: config.jobLockMs,
        maxStarts: config.jobMaxStarts,
      },
      app.log,
    )
    app.log.info({ model: loaded.info }, 'takes jobs')
  }
  const ready = load()
  ready.catch(() => {}) // whoever waits for it is told
  let closing: Promise<void> | undefined
  const close = async () => {
    stop.abort()
    await ready.catch(() => {})
    await worker?.close(AbortSignal.timeout(config.shutdownTimeoutMs))
    await model?.dispose()
    await app.close()
  }
  return { app, ready, close: () => (closing ??= close()) }
}

interface State {
  model: Sam3VideoModel | undefined
  worker: JobWorker | undefined
  isClosing: boolean
}

/** `/livez`, `/readyz` and `/metrics`, as the service has them. */
function probes(app: FastifyInstance, state: () => State): void {
  const isAlive = () => {
    try {
      state().model?.stats()
      return true
    } catch {
      return state().isClosing
    }
  }
  app.get('/livez', (_request, reply) => {
    return reply.code(isAlive() ? 200 : 503).send({ status: isAlive() ? 'alive' : 'device lost' })
  })
  app.get('/readyz', (_request, reply) => {
    const { worker, isClosing } = state()
    const status = isClosing ? 'draining' : !worker ? 'loading' : worker.isConnected ? 'ready' : 'no queue'
    return reply.code(status === 'ready' ? 200 : 503).send({ status })
  })
  const registry = new Registry()
  new Gauge({
    name: 'sam3_jobs_active',
    help: 'Jobs that run in this worker.',
    registers: [registry],
    collect() {
      this.set(state().worker?.active ?? 0)
    },
  })
  app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()))
}
