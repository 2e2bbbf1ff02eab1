/** Jobs in the process itself: what comes out, what fails, what is stopped. */
import { readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Sam3RuntimeError, Sam3ServiceError } from '../../../lib/index.js'
import type { Remote } from '../../../server/jobs/files/job-files.js'
import { jobEvents } from '../../../server/jobs/job/events.js'
import { checkJob } from '../../../server/jobs/job/request.js'
import { EmbeddedStore } from '../../../server/jobs/store/embedded-store.js'
import { deferred } from '../../support/deferred.js'
import { type FakeModel, fakeModel } from './fake-model.js'
import { segmentJob, until, Workplace } from './workplace.js'

const OPTIONS = { concurrency: 1, maxWaiting: 2, attempts: 3, kept: 3 }
const never = new AbortController().signal

let place: Workplace
let model: FakeModel
let store: EmbeddedStore
beforeEach(() => {
  place = new Workplace().pictures(5)
  model = fakeModel()
  store = new EmbeddedStore(place.tools(model), OPTIONS)
})
afterEach(() => place.remove())

/** A model that waits at a picture until the test lets it go on. */
function stopAt(call: number) {
  const [reached, go] = [deferred(), deferred()]
  model.gate = async (now, signal) => {
    if (now !== call) return
    reached.resolve()
    await Promise.race([go.promise, new Promise<void>((left) => signal?.addEventListener('abort', () => left()))])
  }
  return { reached: reached.promise, go: go.resolve }
}

describe('a job of images', () => {
  it('becomes one COCO data set, and leaves nothing else', async () => {
    const { id } = await store.add(segmentJob({ texts: ['cat', 'dog'] }))
    const view = await until(store, id, ['completed'])
    expect(view).toMatchObject({ attempts: 1, progress: { done: 5, total: 5 } })
    expect(view.result).toEqual({ images: 5, instances: 10, failed: 0, failures: [] })
    const { images, annotations, categories } = place.coco('out/found.json')
    expect(images.map(({ file_name }) => file_name)).toEqual([0, 1, 2, 3, 4].map((index) => `in/00${index}.jpg`))
    expect(categories.map(({ name }) => name)).toEqual(['cat', 'dog'])
    expect(annotations.map(({ id }) => id)).toEqual(Array.from({ length: 10 }, (_, index) => index + 1))
    expect(annotations.map(({ image_id }) => image_id)).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    expect(place.names('out')).toEqual(['found.json'])
    expect(place.names('.work')).toEqual([])
  })

  it('reports images that cannot be used, and goes on without them', async () => {
    writeFileSync(place.at('in/big.jpg'), Buffer.alloc(2 ** 20 + 1))
    const images = ['in', 'in/none.jpg', '../out.jpg', 'https://example.com/a.jpg?signature=secret']
    const { id } = await store.add(segmentJob({ images }))
    const { result } = await until(store, id, ['completed'])
    expect(result).toMatchObject({ images: 9, instances: 5, failed: 4 })
    const failures = (result as { failures: { image: string; code: string }[] }).failures
    expect(failures.map(({ image, code }) => [image, code])).toEqual([
      ['in/big.jpg', 'ERR_TOO_LARGE'],
      ['in/none.jpg', 'ERR_IMAGE_NOT_FOUND'],
      ['../out.jpg', 'ERR_PATH_REFUSED'],
      ['https://example.com/a.jpg', 'ERR_URL_REFUSED'],
    ])
    expect(place.coco('out/found.json').images).toHaveLength(5)
    const told = JSON.stringify([result, await store.logs(id, 0)])
    expect(told).not.toContain(place.folder)
    expect(told).not.toContain('secret')
  })

  it.each([
    ['there is no image at all', segmentJob({ images: ['out'] }), 'ERR_INVALID_IMAGE'],
    ['none can be used', segmentJob({ images: ['a.jpg', 'b.jpg'] }), 'ERR_INVALID_IMAGE'],
    ['its output leads out', segmentJob({ outputs: { coco: '../found.json' } }), 'ERR_PATH_REFUSED'],
  ])('fails where %s', async (_, job, code) => {
    const { id } = await store.add(job)
    const view = await until(store, id, ['failed'])
    expect(view).toMatchObject({ attempts: 1, error: { code } })
    expect(view.error!.detail).not.toContain(place.folder)
  })

  it('goes on at what it has finished where the machine fails, and does no image twice', async () => {
    let failures = 0
    model.gate = (call) => {
      if (![3, 5].includes(call)) return
      failures++
      throw new Sam3RuntimeError('ERR_OUT_OF_MEMORY', 'Too little memory.')
    }
    store = new EmbeddedStore(place.tools(model, { slots: 1 }), OPTIONS)
    const { id } = await store.add(segmentJob())
    const view = await until(store, id, ['completed'])
    expect([view.attempts, failures]).toEqual([3, 2])
    const once = [0, 1, 2, 2, 3, 3, 4].map((index) => `in ${index}`)
    expect(model.asked).toEqual(once) // those that failed are asked again, no other
    expect(await store.logs(id, 0)).toContain('Goes on: 2 of 5 images are finished.')
  })

  it('fails when the machine fails each time; the same job can then be sent again', async () => {
    model.gate = () => {
      throw new Sam3RuntimeError('ERR_OUT_OF_MEMORY', 'Too little memory.')
    }
    await store.add(segmentJob(), 'again')
    expect(await until(store, 'again', ['failed'])).toMatchObject({ attempts: 3, error: { code: 'ERR_OUT_OF_MEMORY' } })
    model.gate = () => {}
    expect(await store.add(segmentJob(), 'again')).toMatchObject({ id: 'again', state: 'active' })
    expect(await until(store, 'again', ['completed'])).toMatchObject({ progress: { done: 5, total: 5 } })
  })
})

it('reads from addresses and sends to them; what could not be sent is sent by the next try, without new work', async () => {
  const sent: string[] = []
  let refusals = 2
  const remote: Remote = {
    check: () => {},
    read: async (address) => Buffer.from(address),
    download: () => Promise.reject(new Error('there is no video')),
    upload: async (file, address) => {
      if (refusals-- > 0) throw new Sam3ServiceError('ERR_URL_FAILED', `${address} answered 503.`)
      sent.push(address, readFileSync(file, 'utf8'))
    },
  }
  store = new EmbeddedStore(place.tools(model, { remote, slots: 1 }), OPTIONS)
  const [from, to] = ['https://files.example/a.jpg?signature=in', 'https://files.example/found.json?signature=out']
  const { id } = await store.add(segmentJob({ images: [from], outputs: { coco: to } }))
  expect(await until(store, id, ['completed'])).toMatchObject({ attempts: 3, result: { images: 1, instances: 1 } })
  expect(model.asked).toEqual([from])
  expect(sent[0]).toBe(to)
  expect(JSON.parse(sent[1]!).images).toMatchObject([{ file_name: 'https://files.example/a.jpg' }])
  expect(JSON.stringify([await store.get(id), await store.logs(id, 0)])).not.toContain('signature')
  expect(place.names('.work')).toEqual([])
})

describe('the queue', () => {
  it('is in order, and full at some point', async () => {
    const { reached, go } = stopAt(1)
    for (const name of ['a', 'b', 'c']) {
      place.pictures(1, name)
      await store.add(segmentJob({ images: [name], outputs: { coco: `${name}.json` } }), name)
    }
    await reached
    expect(await store.counts()).toEqual({ waiting: 2, active: 1 })
    await expect(store.add(segmentJob(), 'd')).rejects.toMatchObject({ code: 'ERR_QUEUE_FULL' })
    go()
    await until(store, 'c', ['completed'])
    expect(model.asked).toEqual(['a 0', 'b 0', 'c 0'])
  })

  it('takes a job with the same id for the same job, and refuses another one', async () => {
    const first = await store.add(segmentJob(), 'mine')
    await until(store, 'mine', ['completed'])
    expect(await store.add(segmentJob(), 'mine')).toMatchObject({ createdAt: first.createdAt, state: 'completed' })
    expect(model.asked).toHaveLength(5)
    await expect(store.add(segmentJob({ texts: ['dog'] }), 'mine')).rejects.toMatchObject({ code: 'ERR_JOB_CONFLICT' })
  })

  it('forgets the oldest of those that have ended', async () => {
    for (const id of ['a', 'b', 'c', 'd']) {
      await store.add(segmentJob(), id)
      await until(store, id, ['completed'])
    }
    expect(await store.get('a')).toBeUndefined()
    expect(await store.get('b')).toMatchObject({ state: 'completed' })
  })
})

describe('a job that is cancelled', () => {
  it('is never begun where it waits', async () => {
    const { reached, go } = stopAt(1)
    await store.add(segmentJob(), 'first')
    await reached
    await store.add(segmentJob({ outputs: { coco: 'second.json' } }), 'second')
    expect(await store.cancel('second')).toBe('cancelled')
    go()
    await until(store, 'first', ['completed'])
    expect(await store.get('second')).toMatchObject({ state: 'cancelled', attempts: 0 })
    expect(place.names()).not.toContain('second.json')
  })

  it('is stopped where it runs, and leaves nothing', async () => {
    const { reached } = stopAt(3)
    const { id } = await store.add(segmentJob())
    await reached
    expect(await store.cancel(id)).toBe('cancelling')
    await until(store, id, ['cancelled'])
    expect(place.names()).toEqual(['.work', 'in'])
    expect(place.names('.work')).toEqual([])
    expect(await store.cancel(id)).toBe('removed')
    expect(await store.cancel(id)).toBeUndefined()
  })
})

it('stops jobs when it closes; sent again with the same id they go on at what they have finished', async () => {
  const { reached } = stopAt(3)
  store = new EmbeddedStore(place.tools(model, { slots: 1 }), OPTIONS)
  await store.add(segmentJob(), 'slow')
  await reached
  const closed = store.close()
  await expect(store.add(segmentJob(), 'late')).rejects.toMatchObject({ code: 'ERR_NOT_READY' })
  await closed
  expect(await store.get('slow')).toMatchObject({ state: 'failed' })
  expect(place.names()).not.toContain('out')
  const next = fakeModel()
  store = new EmbeddedStore(place.tools(next, { slots: 1 }), OPTIONS)
  await store.add(segmentJob(), 'slow')
  await until(store, 'slow', ['completed'])
  expect(next.asked).toEqual(['in 2', 'in 3', 'in 4'])
  expect(place.coco('out/found.json').annotations).toHaveLength(5)
})

describe('events', () => {
  it('go on behind what a client has read, with nothing twice', async () => {
    const { reached, go } = stopAt(3)
    const images = ['none.jpg', 'in', 'nothing.jpg']
    store = new EmbeddedStore(place.tools(model, { slots: 1 }), OPTIONS)
    await store.add(segmentJob({ images }), 'job')
    await reached
    const first = []
    for await (const event of jobEvents(store, 'job', undefined, never)) {
      first.push(event!)
      if (event?.event === 'state') break // the connection is lost
    }
    expect(first.map(({ event }) => event)).toEqual(['log', 'progress', 'state'])
    go()
    const rest = []
    for await (const event of jobEvents(store, 'job', first.at(-1)!.id, never)) rest.push(event!)
    const logs = [...first, ...rest].filter(({ event }) => event === 'log').map(({ data }) => JSON.stringify(data))
    expect(logs.map((line) => /(none|nothing)\.jpg/.exec(line)?.[1])).toEqual(['none', 'nothing'])
    expect(rest.at(-1)).toMatchObject({ event: 'state', data: { state: 'completed' } })
    expect(rest.filter(({ event }) => event === 'progress').at(-1)?.data).toEqual({ done: 7, total: 7 })
  })

  it('end where a job is removed', async () => {
    const { id } = await store.add(segmentJob())
    await until(store, id, ['completed'])
    await store.cancel(id)
    const events = []
    for await (const event of jobEvents(store, id, undefined, never)) events.push(event?.data)
    expect(events).toEqual([{ id, state: 'removed' }])
  })
})

describe('what is no job', () => {
  it.each([
    [undefined, 'neither'],
    [{ kind: 'paint' }, 'neither'],
    [{ ...segmentJob(), images: [] }, '/images'],
    [{ ...segmentJob(), image: 'a.jpg' }, '/image is not known'],
    [{ ...segmentJob(), texts: undefined }, 'neither texts nor boxes'],
    [{ ...segmentJob(), threshold: 2 }, '/threshold'],
    [{ ...segmentJob(), outputs: {} }, 'coco'],
    [{ kind: 'track', video: 'a.mp4', texts: ['dog'], outputs: {} }, '/outputs'],
  ])('%j is refused', (value, why) => {
    expect(() => checkJob(value)).toThrow(why)
  })
})
