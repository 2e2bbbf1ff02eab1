/** Starts and stops the service. */
import {
  buildSam3ImageModel,
  buildSam3VideoModel,
  type ImageModelOptions,
  type Sam3ImageModel,
  Sam3ModelError,
} from 'sam3-node'
import type { FastifyBaseLogger, FastifyInstance, FastifyServerOptions } from 'fastify'
import { loadConfig } from '../config/load.js'
import type { ServeConfig, ServeOptions } from '../config/schema.js'
import { RunningRequests } from '../http/running-requests.js'
import type { Service } from '../http/service.js'
import { Metrics } from '../observe/metrics.js'
import { KeptImages } from '../pool/kept-images.js'
import { Pool } from '../pool/pool.js'
import { Sessions } from '../pool/sessions.js'
import { fetchImage } from '../url/fetch-image.js'
import { HostList } from '../url/hosts.js'
import { buildApp } from './build.js'
import { jobFilesOf, observeJobs, openJobStore } from './jobs.js'
import { listen } from './listen.js'
import { warmUp } from './warm-up.js'

/** The service within a program. */
export interface Server {
  /** The Fastify app: for `inject`, and for routes and hooks of one's own before it listens. */
  readonly app: FastifyInstance
  /** Listens at the host and port of the options. @returns the address, such as `http://127.0.0.1:8080` */
  listen(): Promise<string>
  /** Takes no more work, lets running work end within `shutdownTimeoutMs`, then stops it, and frees the model. Safe to call twice. */
  close(): Promise<void>
}

/** What goes beside the options of the service. */
export interface ServerContext {
  /** As Fastify takes it. Default: JSON lines on stdout, at the level of `logLevel`. */
  logger?: FastifyServerOptions['logger']
}

/** What fetches images, where some hosts are listed. @throws Sam3InputError `ERR_INVALID_ARGUMENT` */
function fetcher({ urlHosts = [], urlTimeoutMs, maxPayloadBytes }: ServeConfig): Service['fetchImage'] {
  if (urlHosts.length === 0) return undefined
  const rules = { hosts: new HostList(urlHosts), maxBytes: maxPayloadBytes, timeoutMs: urlTimeoutMs }
  return (address, signal) => fetchImage(address, rules, signal)
}

/** Milliseconds in which the last answers are taken. */
const LEAVE = 2000

/** A service without a model yet. */
async function makeServer(
  config: ServeConfig,
  { logger }: ServerContext,
): Promise<{ server: Server; service: Service }> {
  let log: FastifyBaseLogger | undefined
  const metrics = new Metrics()
  const pool = new Pool(config, metrics)
  const requests = new RunningRequests(config.timeoutMs)
  const jobFiles = jobFilesOf(config)
  const jobs = await openJobStore(config, pool, jobFiles, (error) => log?.warn({ err: error }, 'the queue of jobs'))
  observeJobs(metrics.registry, jobs)
  const images = new KeptImages(config.imageCacheBytes, metrics)
  const sessions = new Sessions(config)
  const service: Service = {
    config,
    pool,
    images,
    sessions,
    metrics,
    requests,
    jobs,
    jobFiles,
    fetchImage: fetcher(config),
  }
  const app = await buildApp(service, logger ?? { level: config.logLevel })
  log = app.log
  pool.onLost = ({ name, model, failure, state }) => {
    app.log.error({ device: name, err: failure }, `device ${state}`)
    images.clear(model)
    sessions.abandon(model)
  }
  let closing: Promise<void> | undefined
  const close = async () => {
    const timer = setTimeout(() => requests.stop(), config.shutdownTimeoutMs)
    pool.drain()
    await Promise.all([requests.idle(), jobs.close()])
    clearTimeout(timer)
    await sessions.closeAll()
    // Who does not take an answer that was sent holds nobody up.
    const leave = setTimeout(() => app.server.closeAllConnections(), LEAVE)
    await app.close()
    clearTimeout(leave)
    images.clear()
    await pool.dispose()
  }
  const server: Server = {
    app,
    listen: () => listen(app, config),
    close: () => (closing ??= close()),
  }
  return { server, service }
}

/** As `buildServer` of the package says. */
export async function buildServer(
  model: Sam3ImageModel,
  options: ServeOptions,
  context: ServerContext,
): Promise<Server> {
  const { config } = loadConfig({ options })
  const { server, service } = await makeServer(config, context)
  if (config.warmup) await warmUp(model)
  service.pool.add(model)
  await server.app.ready()
  return server
}

/** A service that listens, whose model is being loaded. */
export interface StartedServer extends Server {
  /** Where it listens. */
  readonly address: string
  /** Resolves when it takes work; rejects where the model cannot be loaded. */
  readonly ready: Promise<void>
}

/** As `startServer` of the package says. */
export async function startServer(config: ServeConfig, context: ServerContext): Promise<StartedServer> {
  const { server, service } = await makeServer(config, context)
  const address = await server.listen().catch(async (error: unknown) => {
    await server.close()
    throw error
  })
  const stop = new AbortController()
  const load = async () => {
    // One after the other: each takes memory of the host while its weights are read.
    for (const device of config.devices ?? [config.device]) {
      const model = await loadModel({ ...config, device }, stop.signal)
      try {
        if (config.warmup) await warmUp(model)
        stop.signal.throwIfAborted()
      } catch (error) {
        await model.dispose()
        throw error
      }
      service.pool.add(model)
      server.app.log.info({ model: model.info }, 'device ready')
    }
    server.app.log.info('ready')
  }
  const ready = load()
  ready.catch(() => {}) // whoever waits for it is told
  const close = async () => {
    stop.abort()
    await ready.catch(() => {})
    await server.close()
  }
  return { ...server, address, ready, close }
}

/** A model for videos as well, where its weights can follow objects. */
export async function loadModel(config: ServeConfig, signal: AbortSignal): Promise<Sam3ImageModel> {
  const { model, device, dtype, inputSize, threads, libtorch, maxBatchSize } = config
  const options = {
    model,
    device,
    dtype,
    inputSize,
    threads,
    libtorch,
    maxBatch: maxBatchSize,
    signal,
  } as ImageModelOptions
  try {
    return await buildSam3VideoModel(options)
  } catch (error) {
    if (error instanceof Sam3ModelError && error.code === 'ERR_NO_TRACKER') return buildSam3ImageModel(options)
    throw error
  }
}
