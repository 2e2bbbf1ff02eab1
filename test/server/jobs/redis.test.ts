/** Jobs in Redis, with workers of a model that the test holds by the hand. */
import { Queue } from 'bullmq'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Sam3RuntimeError } from '../../../lib/index.js'
import { jobEvents } from '../../../server/jobs/job/events.js'
import { loadPackages } from '../../../server/jobs/store/packages.js'
import { CancelChannel, PREFIX, storedId } from '../../../server/jobs/store/queue.js'
import { RedisStore } from '../../../server/jobs/store/redis-store.js'
import { JobWorker, type WorkerOptions } from '../../../server/jobs/store/worker.js'
import { deferred } from '../../support/deferred.js'
import { type FakeModel, fakeModel } from './fake-model.js'
import { RedisServer } from './redis-server.js'
import { segmentJob, until, Workplace } from './workplace.js'

const now = AbortSignal.abort()
const never = new AbortController().signal
const quiet = { info: () => {}, warn: () => {} }
const LIMITS = { concurrency: 1, lockMs: 1000, maxStarts: 3 }

let redis: RedisServer
beforeAll(async () => {
  redis = await RedisServer.start()
})
afterAll(() => redis.stop())

let place: Workplace
let model: FakeModel
let store: RedisStore
let name = ''
let queues = 0
const workers = new Set<JobWorker>()
beforeEach(async () => {
  place = new Workplace().pictures(6)
  model = fakeModel()
  name = `queue-${queues++}`
  store = await RedisStore.open({ url: redis.url, name, attempts: 3, maxWaiting: 50, keptSeconds: 1000 }, () => {})
})
afterEach(async () => {
  for (const worker of workers) await worker.close(now)
  workers.clear()
  await store.close()
  place.remove()
})

async function work(options: Partial<WorkerOptions> = {}, own = model): Promise<JobWorker> {
  const worker = await JobWorker.start(
    place.tools(own, { slots: 1 }),
    { url: redis.url, name, ...LIMITS, ...options },
    quiet,
  )
  workers.add(worker)
  return worker
}

/** Lets the model come to a picture, and no further until it is told to, or the job is stopped. */
function stopAt(call: number) {
  const [reached, go] = [deferred(), deferred()]
  model.gate = async (at, signal) => {
    if (at !== call) return
    reached.resolve()
    await Promise.race([go.promise, new Promise<void>((left) => signal?.addEventListener('abort', () => left()))])
  }
  return { reached: reached.promise, go: go.resolve }
}

const once = [0, 1, 2, 3, 4, 5].map((index) => `in ${index}`)

it('gives each job to one of two workers', async () => {
  const other = fakeModel()
  await work()
  await work({}, other)
  const names = Array.from({ length: 12 }, (_, index) => `job-${index}`)
  for (const id of names) {
    place.pictures(2, id)
    await store.add(segmentJob({ images: [id], outputs: { coco: `${id}.json` } }), id)
  }
  for (const id of names) expect(await until(store, id, ['completed'])).toMatchObject({ attempts: 1 })
  expect([...model.asked, ...other.asked].sort()).toEqual(names.flatMap((id) => [`${id} 0`, `${id} 1`]).sort())
  expect(model.asked.length * other.asked.length).toBeGreaterThan(0)
  for (const id of names) expect(place.coco(`${id}.json`).annotations).toHaveLength(2)
})

it('takes a job with the same id for the same job, in whatever state it is', async () => {
  const first = await store.add(segmentJob(), 'mine')
  expect(await store.add(segmentJob(), 'mine')).toEqual(first)
  await expect(store.add(segmentJob({ texts: ['dog'] }), 'mine')).rejects.toMatchObject({ code: 'ERR_JOB_CONFLICT' })
  await work()
  await until(store, 'mine', ['completed'])
  expect(await store.add(segmentJob(), 'mine')).toMatchObject({ state: 'completed', createdAt: first.createdAt })
  expect(model.asked).toEqual(once)
})

it('takes any id: none is a name that the queue has for itself', async () => {
  const ids = ['stalled', 'wait', 'active', 'meta', 'events', 'id', 'completed', 'job-stalled']
  for (const id of ids) await store.add(segmentJob({ outputs: { coco: `${id}.json` } }), id)
  await work({ concurrency: 4 })
  for (const id of ids) expect(await until(store, id, ['completed'])).toMatchObject({ id, attempts: 1 })
  expect(await store.counts()).toEqual({ waiting: 0, active: 0 })
})

it('is full at some point', async () => {
  await store.close()
  store = await RedisStore.open({ url: redis.url, name, attempts: 3, maxWaiting: 2, keptSeconds: 1000 }, () => {})
  for (const id of ['a', 'b']) await store.add(segmentJob(), id)
  await expect(store.add(segmentJob(), 'c')).rejects.toMatchObject({ code: 'ERR_QUEUE_FULL' })
  expect(await store.counts()).toEqual({ waiting: 2, active: 0 })
})

it('goes on at what is finished where the machine fails; what failed for good can be sent again', async () => {
  model.gate = (call) => {
    if (call === 3) throw new Sam3RuntimeError('ERR_OUT_OF_MEMORY', 'Too little memory.')
    if (call >= 5) throw new Sam3RuntimeError('ERR_INFERENCE', 'The network failed.')
  }
  await work()
  await store.add(segmentJob(), 'job')
  expect(await until(store, 'job', ['failed'])).toMatchObject({ attempts: 3, error: { code: 'ERR_INFERENCE' } })
  model.gate = () => {}
  expect(await store.add(segmentJob(), 'job')).not.toHaveProperty('error')
  await until(store, 'job', ['completed'])
  expect(model.asked).toEqual([0, 1, 2, 2, 3, 3, 3, 4, 5].map((index) => `in ${index}`))
  expect(place.coco('out/found.json').annotations).toHaveLength(6)
})

it('refuses what another program has put into the queue by mistake', async () => {
  const queue = new Queue(name, { connection: { url: redis.url }, prefix: PREFIX })
  await queue.add(
    'segment',
    { kind: 'segment', images: ['in'], outputs: { coco: 'a.json' } },
    { jobId: storedId('bad'), attempts: 5 },
  )
  await queue.close()
  await work()
  expect(await until(store, 'bad', ['failed'])).toMatchObject({ attempts: 1, error: { code: 'ERR_BAD_REQUEST' } })
})

describe('a job that is cancelled', () => {
  it('is stopped by the worker that has it', async () => {
    const { reached } = stopAt(3)
    await work()
    await store.add(segmentJob(), 'job')
    await reached
    await work({}, fakeModel()) // hears of it as well
    for (const part of ['job:lock', 'job:logs']) expect(await store.get(part)).toBeUndefined()
    expect(await store.cancel('job')).toBe('cancelling')
    expect(await until(store, 'job', ['cancelled'])).toMatchObject({ attempts: 1, progress: { done: 2, total: 6 } })
    expect(place.names()).toEqual(['.work', 'in'])
    expect(place.names('.work')).toEqual([])
    expect(await store.cancel('job')).toBe('removed')
    expect(await store.get('job')).toBeUndefined()
    expect(await store.cancel('job')).toBeUndefined()
  })

  it('is gone where it waits, and can be sent again', async () => {
    await store.add(segmentJob(), 'job')
    expect(await store.cancel('job')).toBe('cancelled')
    expect(await store.get('job')).toBeUndefined()
    await store.add(segmentJob(), 'job')
    await work()
    expect(await until(store, 'job', ['completed'])).toMatchObject({ attempts: 1 })
  })

  it('is stopped although nobody heard of it in time', async () => {
    // As the service does it, but while the worker could not be reached: the wish is there, the message is not.
    const cancels = new CancelChannel(await loadPackages(), { url: redis.url, name }, 'prompt', () => {})
    await store.add(segmentJob(), 'job')
    await cancels.wish(storedId('job'))
    cancels.close()
    await work()
    expect(await until(store, 'job', ['cancelled'])).toMatchObject({ attempts: 1 })
    expect(model.asked).toEqual([])
  })
})

describe('a worker that is told to end', () => {
  it('lets its jobs end', async () => {
    const { reached, go } = stopAt(3)
    const worker = await work()
    await store.add(segmentJob(), 'job')
    await reached
    await store.add(segmentJob({ outputs: { coco: 'b.json' } }), 'waits')
    const closed = worker.close(never)
    go()
    await closed
    workers.delete(worker)
    expect(await store.get('job')).toMatchObject({ state: 'completed', attempts: 1 })
    expect(await store.get('waits')).toMatchObject({ state: 'waiting', attempts: 0 })
  })

  it('gives them back when they take too long, and another one goes on with them at once', async () => {
    const { reached } = stopAt(4)
    const worker = await work({ lockMs: 60_000 })
    await store.add(segmentJob(), 'job')
    await reached
    await worker.close(now)
    workers.delete(worker)
    expect(await store.get('job')).toMatchObject({ state: 'waiting', progress: { done: 3, total: 6 } })
    const other = fakeModel()
    await work({ lockMs: 60_000 }, other)
    await until(store, 'job', ['completed'])
    expect(other.asked).toEqual(once.slice(3))
    expect(place.coco('out/found.json').annotations).toHaveLength(6)
  })
})

it('events go on behind what a client has read', async () => {
  const { reached, go } = stopAt(4)
  await work()
  await store.add(segmentJob({ images: ['in', 'none.jpg'] }), 'job')
  await reached
  let last: string | undefined
  for await (const event of jobEvents(store, 'job', undefined, never)) {
    last = event?.id
    if (event?.event === 'state') break
  }
  go()
  await until(store, 'job', ['completed'])
  const rest = []
  for await (const event of jobEvents(store, 'job', last, never)) rest.push(event!)
  expect(rest.map(({ event }) => event)).toEqual(['log', 'progress', 'state'])
  expect(rest[0]!.data).toMatchObject({ line: expect.stringContaining('none.jpg: ERR_IMAGE_NOT_FOUND') })
  expect(rest[2]!.data).toMatchObject({ state: 'completed', result: { failed: 1 } })
})

it('nothing is lost and nothing doubled where Redis ends and comes back', async () => {
  const { reached, go } = stopAt(3)
  await work()
  await store.add(segmentJob(), 'job')
  await store.add(segmentJob({ outputs: { coco: 'next.json' } }), 'next')
  await reached
  await redis.kill()
  await expect(store.add(segmentJob(), 'late')).rejects.toMatchObject({ code: 'ERR_REDIS_UNREACHABLE', retryAfter: 5 })
  go() // the job goes on meanwhile
  await expect.poll(() => model.asked.length).toBeGreaterThan(3)
  await redis.start()
  await until(store, 'job', ['completed'])
  await until(store, 'next', ['completed'])
  expect(model.asked).toEqual([...once, ...once])
  for (const name of ['out/found.json', 'next.json']) expect(place.coco(name).annotations).toHaveLength(6)
  await expect(store.add(segmentJob({ outputs: { coco: 'late.json' } }), 'late')).resolves.toMatchObject({ id: 'late' })
  await until(store, 'late', ['completed'])
})
