/** The models that answer, one for each device, and what waits for them. */
import { type CallOptions, type Sam3ImageModel, Sam3RuntimeError, Sam3ServiceError } from 'sam3-node'
import { abortable } from '../../lib/base/wake.js'
import { Batches } from '../observe/batches.js'
import { registerBatchSize } from '../observe/batch-size.js'
import type { Metrics } from '../observe/metrics.js'
import { beginSpan } from '../observe/trace.js'
import { Device } from './device.js'
import { FairQueue, PRIORITIES, type Priority, type Queued } from './fair-queue.js'
import { RateMeter } from './rate-meter.js'

/** Whether the service takes work, and why not. */
export type PoolState = 'loading' | 'ready' | 'draining' | 'failed'

/** Limits of what waits and runs. */
export interface PoolOptions {
  /** Most images in one step of the network. */
  maxBatchSize: number
  /** Milliseconds that work may wait for others to fill its batch. */
  maxQueueDelayMs: number
  /** Most pieces of work that wait. */
  maxQueueSize: number
  /** Milliseconds after which a device that says nothing is taken out; 0: never. Default: 30 s of a GPU, never of a CPU. */
  deviceTimeoutMs?: number
}

/** On whose behalf work is done, and what it takes. */
export interface Ticket {
  /** Whose work takes turns with that of others. */
  client: string
  /** Default `'normal'`. */
  priority?: Priority
  /** How much of a batch it fills, in images. Default 0: it joins none. */
  share?: number
  /** The one that has to do it: it has the features of the image. Default: any. */
  model?: Sam3ImageModel
  /** Ends the work, waiting or running. */
  signal: AbortSignal
}

/** What is to be done on a model, with the options of its calls: its ticket's signal, and where their stages are told. */
export type Work<T> = (model: Sam3ImageModel, options: CallOptions) => Promise<T>

interface Waiting extends Queued {
  readonly share: number
  readonly model: Sam3ImageModel | undefined
  readonly since: number
  start(device: Device): void
  fail(reason: unknown): void
}

/** Work ended with its device. */
class DeviceLost extends Error {}

/** Batches that are with a device at a time: the next one is there when the running one ends. */
const BATCHES_AHEAD = 2
/** Devices that one piece of work may be tried on: what breaks them must not break all. */
const MOST_TRIES = 2
/** Seconds, while models are loaded. */
const LOADING_RETRY = 5

/**
 * Work waits here, in turns between clients, and goes to the device that has least to do, as much as fills its next
 * batches: the engine joins what it was handed. What failed with its device is tried on another one.
 */
export class Pool {
  readonly #options: PoolOptions
  readonly #metrics: Metrics
  readonly #batches: Batches
  readonly #devices: Device[] = []
  readonly #queue = new FairQueue<Waiting>()
  readonly #rate = new RateMeter()
  #timer: NodeJS.Timeout | undefined
  #isDraining = false
  #isDisposed = false
  /** Told once of each device that is taken out. */
  onLost: (device: Device) => void = () => {}

  constructor(options: PoolOptions, metrics: Metrics) {
    this.#options = options
    this.#metrics = metrics
    this.#batches = new Batches(metrics)
    registerBatchSize(metrics.registry, () => ({ calls: this.#count('calls'), batches: this.#count('batches') }))
  }

  /** Of all devices. */
  #count(what: 'calls' | 'batches' | 'sessions' | 'imageBytes'): number {
    return this.#devices.reduce((sum, { stats }) => sum + (stats?.[what] ?? 0), 0)
  }

  get state(): PoolState {
    if (this.#isDraining) return 'draining'
    if (this.#devices.length === 0) return 'loading'
    return this.#isBroken ? 'failed' : 'ready'
  }

  /** Whether no device is left that works. */
  get #isBroken(): boolean {
    return this.#devices.length > 0 && this.#devices.every(({ failure }) => failure)
  }

  /** All devices, also those that were taken out. */
  get devices(): readonly Device[] {
    return this.#devices
  }

  /** A model that answers from now on. The pool disposes of it. */
  add(model: Sam3ImageModel): void {
    const { device, dtype, inputSize } = model.info
    const before = this.#devices.filter(({ model }) => model.info.device === device).length
    const name = before === 0 ? device : `${device} (${before + 1})`
    const added = new Device(name, model, this.#options.deviceTimeoutMs)
    added.onOut = () => this.#takeOut(added)
    added.onUsable = () => this.#pump()
    this.#devices.push(added)
    this.#metrics.info.set({ device: name, dtype, input_size: inputSize }, 1)
    this.#metrics.deviceUp.set({ device: name }, 1)
    this.#pump()
  }

  /** @throws Sam3ServiceError `ERR_NOT_READY` while no device can be asked, Sam3RuntimeError `ERR_QUEUE_FULL` */
  checkRoom(): void {
    const { state } = this
    if (state !== 'ready') throw notReady(state)
    this.#checkQueue()
  }

  #checkQueue(): void {
    if (this.#queue.size >= this.#options.maxQueueSize) {
      throw new Sam3RuntimeError('ERR_QUEUE_FULL', `The queue is full (${this.#queue.size} requests wait).`, {
        fix: 'Send the request again after the seconds that Retry-After gives.',
      })
    }
  }

  /** Seconds after which what waits now will have been done, at the rate of late: for `Retry-After`. */
  get retryAfter(): number {
    return this.state === 'loading' ? LOADING_RETRY : this.#rate.secondsFor(this.#queue.size)
  }

  /**
   * Runs `work` on a device when its turn has come; again, on another one, where the device fails.
   * @throws Sam3RuntimeError `ERR_QUEUE_FULL`; Sam3ServiceError `ERR_NOT_READY` where no device is left, `ERR_NOT_FOUND`
   * where that of the ticket's model was taken out;
   * the signal's reason, or a Sam3AbortError with it; what `work` throws
   */
  async run<T>(ticket: Ticket, work: Work<T>): Promise<T> {
    this.#checkQueue()
    ticket.signal.throwIfAborted()
    for (let tries = 1; ; tries++) {
      const waiting = beginSpan('sam3.queue')
      const device = await this.#turn(ticket, tries > 1).finally(() => waiting.end())
      try {
        return await abortable(this.#runOn(device, ticket, work), ticket.signal)
      } catch (error) {
        if (!(error instanceof DeviceLost)) throw error
        if (tries === MOST_TRIES) throw notReady('failed')
      }
    }
  }

  /**
   * Waits for work that a model does beside the queue, such as the next frame of a session.
   * @param lost makes the error where its device is taken out first. Default: Sam3ServiceError `ERR_NOT_FOUND`
   * @throws what `lost` makes; what the work throws
   */
  async watch<T>(model: Sam3ImageModel, work: Promise<T>, lost: () => Error = gone): Promise<T> {
    const device = this.#devices.find((one) => one.model === model)!
    try {
      return await device.watch(work)
    } catch (error) {
      throw !this.#isDisposed && (await device.isLost(error)) ? lost() : error
    }
  }

  /** Brings what is read, not counted, up to date: before metrics are told. */
  observe(): void {
    const waiting = new Map<Priority, number>(PRIORITIES.map((priority) => [priority, 0]))
    for (const { priority } of this.#queue) waiting.set(priority, waiting.get(priority)! + 1)
    for (const [priority, count] of waiting) this.#metrics.queueSize.set({ priority }, count)
    this.#metrics.sessions.set(this.#count('sessions'))
    this.#metrics.cacheBytes.set({ cache: 'images' }, this.#count('imageBytes'))
    this.#metrics.deviceBusy.reset()
    for (const { name: device, stats } of this.#devices) {
      this.#metrics.deviceBusy.inc({ device }, (stats?.deviceBusy ?? 0) / 1000)
      for (const [kind, bytes] of Object.entries(stats?.deviceMemory ?? {}))
        this.#metrics.gpuMemory.set({ device, kind }, bytes)
    }
  }

  /** Whether a model is alive, or still loading: asks them, and waits for no work. */
  get isAlive(): boolean {
    if (this.#devices.length === 0) return true
    return this.#devices.some(({ failure, stats }) => !failure && stats !== undefined)
  }

  /** Takes no more requests; work for those that were taken goes on. */
  drain(): void {
    this.#isDraining = true
  }

  /** Ends all work and frees the models. */
  async dispose(): Promise<void> {
    this.#isDraining = true
    this.#isDisposed = true
    for (const one of [...this.#queue]) this.#leave(one, notReady('draining'))
    for (const device of this.#devices) device.stop()
    const freed = this.#devices.map(({ model, state }) => ({ state, disposed: model.dispose() }))
    // What a lost device says to it is no news, and one that says nothing is not waited for.
    await Promise.allSettled(freed.map(({ state, disposed }) => state !== 'stalled' && disposed))
  }

  /** Waits for the turn of a ticket, and charges it to the device that takes it. */
  #turn({ client, priority = 'normal', share = 0, model, signal }: Ticket, isAgain: boolean): Promise<Device> {
    return new Promise<Device>((resolve, reject) => {
      const since = performance.now()
      const leave = () => this.#leave(waiting, signal.reason)
      const over = () => signal.removeEventListener('abort', leave)
      const waiting: Waiting = {
        client,
        priority,
        share,
        model,
        since,
        cost: costOf(share),
        start: (chosen) => {
          over()
          this.#metrics.queueDuration.observe((performance.now() - since) / 1000)
          resolve(chosen)
        },
        fail: (reason) => {
          over()
          reject(reason)
        },
      }
      if (this.#devices.some((device) => device.model === model && device.failure)) return reject(gone())
      if (this.#isBroken) return reject(notReady('failed'))
      signal.addEventListener('abort', leave, { once: true })
      if (isAgain) this.#queue.putBack(waiting)
      else this.#queue.push(waiting)
      this.#pump()
    })
  }

  #leave(waiting: Waiting, reason: unknown): void {
    if (this.#queue.remove(waiting)) waiting.fail(reason)
  }

  /** Also where nobody waits for it any more, the work counts until it has ended. */
  async #runOn<T>(device: Device, { share = 0, signal }: Ticket, work: Work<T>): Promise<T> {
    this.#rate.begin()
    try {
      return await this.#metrics.time('engine', () => {
        const options = { signal, onStages: this.#batches.listener(device.name) }
        return device.watch(work(device.model, options))
      })
    } catch (error) {
      throw !this.#isDisposed && (await device.isLost(error)) ? new DeviceLost() : error
    } finally {
      this.#rate.end()
      device.load -= costOf(share)
      this.#pump()
    }
  }

  #takeOut(device: Device): void {
    const { name, state } = device
    this.#metrics.deviceUp.set({ device: name }, 0)
    this.#metrics.devicesLost.inc({ reason: state === 'stalled' ? 'stalled' : 'failed' })
    this.onLost(device)
    for (const one of [...this.#queue]) {
      if (one.model === device.model) this.#leave(one, gone())
      else if (this.#isBroken) this.#leave(one, notReady('failed'))
    }
  }

  /** Hands over what may go now. */
  #pump(): void {
    clearTimeout(this.#timer)
    let due = this.#imagesDue()
    for (let item = this.#next(due); item; item = this.#next(due)) due -= item.share
  }

  #next(due: number): Waiting | undefined {
    const most = BATCHES_AHEAD * this.#options.maxBatchSize
    const free = this.#devices.filter(({ isUsable, load }) => isUsable && load < most)
    for (const device of free.sort((a, b) => a.load - b.load)) {
      const item = this.#queue.take(
        ({ model = device.model, share }) => model === device.model && (share === 0 || due > 0),
      )
      if (!item) continue
      device.load += item.cost
      item.start(device)
      return item
    }
    return undefined
  }

  /** How many images need not wait for others to fill their batch; looks again when the first of the rest need not. */
  #imagesDue(): number {
    const { maxBatchSize, maxQueueDelayMs } = this.#options
    if (maxQueueDelayMs === 0) return Number.POSITIVE_INFINITY
    const waiting = [...this.#queue].filter(({ share }) => share > 0)
    const images = waiting.reduce((sum, { share }) => sum + share, 0)
    const left = Math.min(...waiting.map(({ since }) => since)) + maxQueueDelayMs - performance.now()
    if (left <= 0) return Number.POSITIVE_INFINITY
    if (waiting.length > 0) this.#timer = setTimeout(() => this.#pump(), left)
    return images - (images % maxBatchSize)
  }
}

/** What work takes of a device's time beside other work. */
const costOf = (share: number) => Math.max(1, share)

const NOT_READY = {
  loading: ['is loading its model', 'Ask /readyz, and try again when it says 200.'],
  draining: ['is shutting down', 'Send the request to another one.'],
  failed: ['has no device left that works', 'Send the request to another one.'],
} as const

function notReady(state: keyof typeof NOT_READY): Sam3ServiceError {
  const [why, fix] = NOT_READY[state]
  const retryAfter = state === 'loading' ? LOADING_RETRY : undefined
  return new Sam3ServiceError('ERR_NOT_READY', `The service ${why}.`, { fix, retryAfter })
}

const gone = () =>
  new Sam3ServiceError('ERR_NOT_FOUND', 'What was kept on the device is gone: the device failed.', {
    fix: 'Send the image again.',
  })
