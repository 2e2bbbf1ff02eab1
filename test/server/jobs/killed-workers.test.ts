/**
 * Workers that are killed, stopped and lost while they segment with the demo model: nothing is lost, nothing doubled.
 * SAM3_LONG_JOBS=1 kills at 20 points instead of 5.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Queue } from 'bullmq'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fileKey } from '../../../server/jobs/files/checkpoint.js'
import { PREFIX, progressOf, storedId } from '../../../server/jobs/store/queue.js'
import { RedisStore } from '../../../server/jobs/store/redis-store.js'
import { heldOut } from '../../support/demo.js'
import { seededRandom } from '../../support/random.js'
import { without } from '../../support/without.js'
import { RedisServer } from './redis-server.js'
import { WorkerProcess } from './worker-process.js'
import { segmentJob, until, Workplace } from './workplace.js'

/** Jobs of which each has its workers killed five times. */
const ROUNDS = process.env.SAM3_LONG_JOBS === '1' ? 4 : 1
const IMAGES = 24

describe.skipIf(without('redis'))('workers as processes', () => {
  const place = new Workplace()
  const workers = new Set<WorkerProcess>()
  let redis: RedisServer
  let store: RedisStore
  let queue: Queue
  let newest: Promise<WorkerProcess> | undefined

  beforeAll(async () => {
    mkdirSync(place.at('in'))
    // Large enough that there is time to look while one is worked on.
    const scenes = await Promise.all(heldOut.slice(0, 4).map(({ file }) => sharp(file).resize(1600).jpeg().toBuffer()))
    for (let index = 0; index < IMAGES; index++)
      writeFileSync(place.at(`in/${String(index).padStart(2, '0')}.jpg`), scenes[index % scenes.length]!)
    // One that takes a while to read.
    const grey = sharp({ create: { width: 6000, height: 6000, channels: 3, background: '#888' } })
    await grey.jpeg().toFile(place.at('large.jpg'))
    redis = await RedisServer.start()
    const options = { url: redis.url, name: 'jobs', attempts: 3, maxWaiting: 50, keptSeconds: 1000 }
    store = await RedisStore.open(options, () => {})
    queue = new Queue('jobs', { connection: { url: redis.url }, prefix: PREFIX })
  })
  afterAll(async () => {
    await newest?.catch(() => {})
    for (const worker of workers) await worker.kill()
    await queue.close()
    await store.close()
    await redis.stop()
    place.remove()
  })

  function start(): Promise<WorkerProcess> {
    newest = startOne()
    newest.catch(() => {}) // it is waited for when it is needed
    return newest
  }

  async function startOne(): Promise<WorkerProcess> {
    const options = { 'job-folder': place.work, 'job-lock-ms': 1000, 'job-max-starts': 2, 'max-batch-size': 1 }
    const worker = await WorkerProcess.start(redis.url, place.folder, { ...options, 'job-concurrency': 1 })
    workers.add(worker)
    return worker
  }

  /** The one that was started last, perhaps by an earlier test, or a new one. */
  async function some(): Promise<WorkerProcess> {
    const last = await newest
    return last && workers.has(last) ? last : start()
  }

  async function kill(worker: WorkerProcess): Promise<void> {
    workers.delete(worker)
    await worker.kill()
  }

  /** The worker that has a job now. */
  async function workerOf(id: string): Promise<WorkerProcess | undefined> {
    const by: string | undefined = (await queue.getJob(storedId(id)))?.processedBy
    return [...workers].find(({ pid }) => by?.endsWith(`:${pid}`))
  }

  /** Finished parts of a job, each with when it was written. */
  async function parts(id: string): Promise<Map<string, number>> {
    const folder = path.join(place.work, fileKey(storedId(id)))
    const names = (await readdir(folder).catch(() => [])).filter((name) => name.startsWith('part-'))
    const times = await Promise.all(
      names.map(async (name) => [name, (await stat(path.join(folder, name)).catch(() => undefined))?.mtimeMs] as const),
    )
    return new Map(times.filter((entry): entry is [string, number] => entry[1] !== undefined))
  }

  /** Looks until it is so. */
  async function see(isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (const end = performance.now() + 100_000; performance.now() < end; await pause(2)) if (await isSo()) return
    throw new Error(`It never came to that.\n${[...workers].map(({ told }) => told).join('\n')}`)
  }

  const job = (name: string, images = ['in']) =>
    segmentJob({ images, texts: ['dog', 'apple'], outputs: { coco: `out/${name}.json` } })

  /** Images and annotations of a result, without what rests on the company in which an image was computed. */
  function gist(name: string) {
    const { images, annotations } = place.coco(`out/${name}.json`)
    return {
      images,
      annotations: annotations.map(({ id, image_id, category_id }) => [id, image_id, category_id]),
    }
  }

  it.each(Array.from({ length: ROUNDS }, (_, round) => round))(
    'a job whose worker is killed five times is done once and whole (%i)',
    async (round) => {
      const random = seededRandom(round)
      const between = (low: number, high: number) => low + Math.floor(random() * (high - low))
      await some()
      await store.add(job('calm'), `calm-${round}`)
      await until(store, `calm-${round}`, ['completed'])

      const id = `killed-${round}`
      const out = () => (existsSync(place.at('out')) ? place.names('out') : [])
      const isThere = () => existsSync(place.at(`out/${id}.json`))
      const isStaged = () => out().some((name) => name.startsWith('.sam3-'))
      // Parts that are on the disk or that Redis knows of, and at the end the result half written or in place.
      const points = [
        between(1, 6),
        between(7, 12),
        between(13, 18),
        random() < 0.5 ? between(19, 23) : 23,
        random() < 0.5 ? 'staged' : 'published',
      ]
      const isAt = async (point: number | string, onDisk: boolean) => {
        if (point === 'staged') return isThere() || isStaged()
        if (point === 'published') return isThere()
        return (onDisk ? (await parts(id)).size : (await store.get(id))!.progress.done) >= Number(point)
      }
      await store.add(job(id), id)
      let before = new Map<string, number>()
      for (const point of points) {
        const onDisk = random() < 0.5
        await see(async () => (await workerOf(id)) !== undefined && (await isAt(point, onDisk)))
        const victim = await workerOf(id)
        void start() // while the lock of the dead one runs out
        await kill(victim!)
        const now = await parts(id)
        // What was finished before the last kill was not done again.
        for (const [name, time] of before) expect(now.get(name) ?? time, name).toBe(time)
        before = now
      }
      const view = await until(store, id, ['completed'])
      expect(view.attempts).toBeGreaterThanOrEqual(4)
      expect(view.result).toMatchObject({ images: IMAGES, failed: 0 })
      expect(gist(id)).toEqual(gist('calm'))
      expect(gist(id).images.map(({ id }) => id)).toEqual(Array.from({ length: IMAGES }, (_, index) => index + 1))
      expect(out().filter((name) => name.startsWith('.'))).toEqual([])
    },
    180_000,
  )

  it('a worker that was thought dead, and is not, spoils nothing', async () => {
    const first = await some()
    // Two at a time: behind the first two, both are large ones.
    const images = ['in/00.jpg', 'in/01.jpg', 'large.jpg', 'large.jpg', 'in/02.jpg', 'in/03.jpg']
    await store.add(job('stalled', images), 'stalled')
    await see(async () => (await parts('stalled')).size >= 2)
    first.signal('SIGSTOP')
    const kept = await parts('stalled')
    const second = await start()
    await see(async () => (await workerOf('stalled')) === second)
    expect([...(await parts('stalled')).keys()]).toEqual(expect.arrayContaining([...kept.keys()]))
    await until(store, 'stalled', ['completed'])
    const result = await stat(place.at('out/stalled.json'))
    first.signal('SIGCONT')
    expect(await second.end()).toBe(0)
    workers.delete(second)
    // The first one has let go of it, and works.
    await store.add(job('next', ['in/00.jpg', 'in/01.jpg']), 'next')
    expect(await until(store, 'next', ['completed'])).toMatchObject({ attempts: 1 })
    expect(await stat(place.at('out/stalled.json'))).toMatchObject({ ino: result.ino, mtimeMs: result.mtimeMs })
    expect(await store.get('stalled')).toMatchObject({ state: 'completed', attempts: 2 })
    expect(place.names('out').filter((name) => name.startsWith('.'))).toEqual([])
  }, 180_000)

  it('a job that ends each worker is given up, and holds up no other', async () => {
    await some()
    await store.add(job('poison', ['large.jpg']), 'poison')
    await store.add(job('healthy', ['in/00.jpg', 'in/01.jpg']), 'healthy')
    let killed = 0
    await see(async () => {
      const found = await queue.getJob(storedId('poison'))
      const victim = await workerOf('poison')
      if (victim && found && progressOf(found).starts > killed) {
        killed++
        void start()
        await kill(victim)
      }
      return (await store.get('poison'))?.state === 'failed'
    })
    expect(killed).toBe(2)
    expect(await store.get('poison')).toMatchObject({ state: 'failed', error: { code: 'ERR_JOB_GIVEN_UP' } })
    expect(existsSync(place.at('out/poison.json'))).toBe(false)
    expect(await until(store, 'healthy', ['completed'])).toMatchObject({ progress: { done: 2, total: 2 } })
    const last = await some()
    expect(await last.end()).toBe(0)
    workers.delete(last)
  }, 180_000)
})
