/** The queue in Redis: its names, its connections, and what the service and its workers say to each other through it. */
import type { Job, Queue, QueueOptions } from 'bullmq'
import type { Redis } from 'ioredis'
import { Sam3InputError } from 'sam3-node'
import type { JobRequest } from '../job/request.js'
import type { JobProgress } from '../job/store.js'
import type { QueuePackages } from './packages.js'

/** Where the queue is. */
export interface QueuePlace {
  /** `redis://` or `rediss://`; may hold a password, and is never shown. */
  url: string
  /** Name of the queue. */
  name: string
}

/** What Redis has of a job's progress. */
export interface StoredProgress extends JobProgress {
  /** The most that was ever done: a video begins anew. */
  best: number
  /** How often it was begun since it was last further than ever before. */
  starts: number
}

export type StoredJob = Job<JobRequest, unknown, string>

/** Keys are `sam3:<queue>:…`: what scales by the length of the queue asks for `sam3:<queue>:wait`. */
export const PREFIX = 'sam3'

/** The id of a job in Redis. By itself it might be the name of a key of the queue, such as `stalled`, and break the queue. */
export const storedId = (id: string): string => `job-${id}`
export const shownId = (stored: string): string => stored.replace(/^job-/, '')

/** Seconds that a wish to cancel is remembered for workers that cannot be reached now. */
const WISH_SECONDS = 7 * 24 * 60 * 60

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` */
export function checkPlace({ url, name }: QueuePlace): void {
  const isUrl = URL.canParse(url) && /^rediss?:$/.test(new URL(url).protocol)
  if (isUrl && /^[\w-]{1,64}$/.test(name)) return
  const what = isUrl ? 'The name of the queue' : 'The address of Redis'
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${what} cannot be used.`, {
    fix: isUrl ? 'Use letters, digits, - and _.' : 'Write redis://host:6379, or rediss:// for TLS.',
  })
}

/** What other programs put in as progress, or none, is no progress. */
export function progressOf({ progress }: Pick<StoredJob, 'progress'>): StoredProgress {
  const { done, total, best, starts } = (typeof progress === 'object' ? progress : {}) as Partial<StoredProgress>
  const count = (value: unknown) => (Number.isSafeInteger(value) ? (value as number) : 0)
  return { done: count(done), total: count(total), best: count(best), starts: count(starts) }
}

/** @param patience Keep trying for ever, as a worker does, or fail at once, so that a client is answered. */
export function connectionOf({ url }: QueuePlace, patience: 'patient' | 'prompt'): QueueOptions['connection'] {
  return { url, maxRetriesPerRequest: patience === 'patient' ? null : 1 }
}

export function openQueue({ bullmq }: QueuePackages, place: QueuePlace): Queue<JobRequest> {
  return new bullmq.Queue(place.name, { connection: connectionOf(place, 'prompt'), prefix: PREFIX })
}

/** Wishes to cancel: told at once to the worker that has the job, and kept for one that cannot hear now. */
export class CancelChannel {
  readonly #client: Redis
  readonly #channel: string
  #listener: Redis | undefined

  constructor(
    { ioredis }: QueuePackages,
    place: QueuePlace,
    patience: 'patient' | 'prompt',
    onError: (error: Error) => void,
  ) {
    this.#client = new ioredis.Redis(place.url, { maxRetriesPerRequest: patience === 'patient' ? null : 1 })
    this.#client.on('error', onError)
    this.#channel = `${PREFIX}-cancel:${place.name}`
  }

  get isConnected(): boolean {
    return this.#client.status === 'ready'
  }

  async wish(id: string): Promise<void> {
    await this.#client.set(this.#key(id), '1', 'EX', WISH_SECONDS)
    await this.#client.publish(this.#channel, id)
  }

  async isWished(id: string): Promise<boolean> {
    return (await this.#client.exists(this.#key(id))) === 1
  }

  async forget(id: string): Promise<void> {
    await this.#client.del(this.#key(id))
  }

  /** Calls `onWish` for each wish, and `onReconnect` when some may have been missed. */
  async listen(onWish: (id: string) => void, onReconnect: () => void): Promise<void> {
    this.#listener = this.#client.duplicate()
    this.#listener.on('error', () => {}) // the client tells of the same
    this.#listener.on('message', (_channel: string, id: string) => onWish(id))
    await this.#listener.subscribe(this.#channel)
    this.#listener.on('ready', onReconnect)
  }

  close(): void {
    this.#listener?.disconnect()
    this.#client.disconnect()
  }

  #key(id: string): string {
    return `${this.#channel}:${id}`
  }
}
