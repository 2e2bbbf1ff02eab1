/** Jobs over HTTP, run by the demo model in the service itself. */
import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CocoVideoJson } from '../../../lib/index.js'
import type { JobView } from '../../../server/jobs/job/store.js'
import { clip, heldOut, scene } from '../../support/demo.js'
import { probeClip } from '../../support/clips.js'
import { without } from '../../support/without.js'
import { demoService, type TestService } from '../support.js'
import { segmentJob, Workplace } from './workplace.js'

const place = new Workplace()
let service: TestService
let address: string
beforeAll(async () => {
  mkdirSync(place.at('photos'))
  for (const [index, { file }] of heldOut.slice(0, 3).entries()) copyFileSync(file, place.at(`photos/${index}.jpg`))
  copyFileSync(scene.file, place.at('scene.jpg'))
  mkdirSync(place.at('clip'))
  for (let frame = 0; frame < 6; frame++) {
    const name = `${String(frame).padStart(2, '0')}.jpg`
    copyFileSync(path.join(clip.folder, name), place.at(`clip/${name}`))
  }
  writeFileSync(place.at('broken.jpg'), 'no picture')
  symlinkSync('/etc', place.at('way-out'))
  service = await demoService({ jobRoots: [place.folder], port: 0 })
  address = await service.server.listen()
})
afterAll(async () => {
  await service.server.close()
  place.remove()
})

const post = (body: unknown) =>
  fetch(`${address}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

type View = JobView & { code?: string }
const read = async (answer: Response) => (await answer.json()) as View
const get = async (id: string) => read(await fetch(`${address}/v1/jobs/${id}`))

interface Sent {
  id: string
  event: string
  data: Record<string, unknown>
}

/** Reads events until they end, or the test has enough. */
async function events(id: string, lastId?: string, most = Number.POSITIVE_INFINITY): Promise<Sent[]> {
  const leave = new AbortController()
  const answer = await fetch(`${address}/v1/jobs/${id}/events`, {
    headers: lastId === undefined ? {} : { 'last-event-id': lastId },
    signal: leave.signal,
  })
  expect(answer.headers.get('content-type')).toBe('text/event-stream')
  const found: Sent[] = []
  let text = ''
  for await (const bytes of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += bytes
    const blocks = text.split('\n\n')
    text = blocks.pop()!
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s, 2)))
      if (fields.event) found.push({ id: fields.id, event: fields.event, data: JSON.parse(fields.data) })
    }
    if (found.length >= most) break
  }
  leave.abort()
  return found
}

it('takes a job, tells of it, and leaves its result', async () => {
  const answer = await post({ ...segmentJob({ images: ['photos', 'scene.jpg'], texts: ['dog', 'cup'] }) })
  const job = await read(answer)
  expect([answer.status, answer.headers.get('location')]).toEqual([202, `/v1/jobs/${job.id}`])
  const all = await events(job.id)
  expect(all.at(-1)).toMatchObject({ event: 'state', data: { state: 'completed', progress: { done: 4, total: 4 } } })
  const coco = place.coco('out/found.json')
  expect(coco.images.map(({ file_name }) => file_name)).toEqual([
    'photos/0.jpg',
    'photos/1.jpg',
    'photos/2.jpg',
    'scene.jpg',
  ])
  // The same as the model says when it is asked itself.
  const found = await service.model.segment(scene.file, ['dog', 'cup'])
  const boxes = found.flatMap(({ instances }) => instances.map(({ mask }) => mask.toRle().counts))
  const written = coco.annotations.filter(({ image_id }) => image_id === 4)
  expect(written.map(({ segmentation }) => (segmentation as { counts: string }).counts)).toEqual(boxes)
  expect(boxes.length).toBeGreaterThan(0)
  expect(await get(job.id)).toMatchObject({ state: 'completed', result: { images: 4, failed: 0 } })
})

it('counts jobs by their state', async () => {
  const metrics = await (await fetch(`${address}/metrics`)).text()
  expect(metrics).toContain('sam3_jobs{state="waiting"} 0\nsam3_jobs{state="active"} 0\n')
})

it('goes on behind the last event that a client has read', async () => {
  const { id } = await read(
    await post({ id: 'follow', ...segmentJob({ outputs: { coco: 'b.json' }, images: ['photos', 'broken.jpg'] }) }),
  )
  const [first] = await events(id, undefined, 1)
  const rest = await events(id, first!.id)
  expect(rest.at(-1)).toMatchObject({ event: 'state', data: { state: 'completed' } })
  const again = await fetch(`${address}/v1/jobs/${id}/events`, { headers: { 'last-event-id': rest.at(-1)!.id } })
  expect(again.status).toBe(204)
  const logs = [first!, ...rest].filter(({ event }) => event === 'log')
  expect(logs.map(({ data }) => data.line)).toEqual([expect.stringMatching(/^broken\.jpg: ERR_INVALID_IMAGE/)])
})

it('is the same job with the same id, and another one is refused', async () => {
  const job = { id: 'mine', ...segmentJob({ images: ['scene.jpg'], outputs: { coco: 'c.json' } }) }
  const first = await read(await post(job))
  expect(await read(await post(job))).toMatchObject({ id: 'mine', createdAt: first.createdAt })
  const other = await post({ ...job, texts: ['cup'] })
  expect([other.status, (await read(other)).code]).toEqual([409, 'ERR_JOB_CONFLICT'])
})

describe.skipIf(without('ffmpeg'))('a video', () => {
  it('is followed into COCO, MOT and a video', async () => {
    const outputs = { coco: 'dog/dog.json', mot: 'dog/dog.txt', video: 'dog/dog.mp4' }
    const { id } = await read(await post({ kind: 'track', video: 'clip', texts: ['dog'], outputs }))
    const all = await events(id)
    expect(all.at(-1)).toMatchObject({ data: { state: 'completed', result: { frames: 6 } } })
    const coco = place.coco('dog/dog.json') as unknown as CocoVideoJson
    expect(coco.videos[0]).toMatchObject({ name: 'clip', length: 6 })
    expect(coco.annotations.length).toBeGreaterThan(0)
    expect(probeClip(place.at('dog/dog.mp4')).times).toHaveLength(6)
    expect(place.names('dog')).toEqual(['dog.json', 'dog.mp4', 'dog.txt'])
    expect(place.names('.sam3-jobs')).toEqual([])
  })
})

describe('what is refused', () => {
  it.each([
    ['no job', { kind: 'paint' }, 400, 'ERR_BAD_REQUEST'],
    ['a bad id', { id: 'a:b', ...segmentJob() }, 400, 'ERR_BAD_REQUEST'],
    ['a path that leads out', segmentJob({ images: ['../secret.jpg'] }), 422, 'ERR_PATH_REFUSED'],
    ['a link that leads out', segmentJob({ images: ['way-out/passwd'] }), 422, 'ERR_PATH_REFUSED'],
    [
      'a result that leads out',
      segmentJob({ images: ['scene.jpg'], outputs: { coco: 'way-out/a.json' } }),
      422,
      'ERR_PATH_REFUSED',
    ],
    [
      'a folder as the result',
      segmentJob({ images: ['scene.jpg'], outputs: { coco: 'photos' } }),
      422,
      'ERR_PATH_REFUSED',
    ],
    ['an image that is not there', segmentJob({ images: ['none.jpg'] }), 422, 'ERR_IMAGE_NOT_FOUND'],
    ['an address', segmentJob({ images: ['http://127.0.0.1/a.jpg'] }), 422, 'ERR_URL_REFUSED'],
  ])('%s', async (_, body, status, code) => {
    const answer = await post(body)
    const problem = await read(answer)
    expect([answer.status, problem.code]).toEqual([status, code])
    expect(JSON.stringify(problem)).not.toContain(place.folder)
  })

  it.each([
    ['GET', ''],
    ['DELETE', ''],
    ['GET', '/events'],
  ])('%s of a job that is not known%s', async (method, more) => {
    const answer = await fetch(`${address}/v1/jobs/none${more}`, { method })
    expect([answer.status, (await read(answer)).code]).toEqual([404, 'ERR_NOT_FOUND'])
  })
})

it('forgets a job that has ended', async () => {
  const { id } = await read(await post(segmentJob({ images: ['scene.jpg'], outputs: { coco: 'd.json' } })))
  await events(id)
  expect((await fetch(`${address}/v1/jobs/${id}`, { method: 'DELETE' })).status).toBe(204)
  expect((await fetch(`${address}/v1/jobs/${id}`)).status).toBe(404)
  expect(existsSync(place.at('d.json'))).toBe(true)
})

it('ends streams of events when it closes, so that nothing holds it open', async () => {
  const other = await demoService({ jobRoots: [place.folder], jobConcurrency: 1, port: 0 })
  const there = await other.server.listen()
  const send = (id: string, images: string[]) =>
    fetch(`${there}/v1/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id, ...segmentJob({ images, outputs: { coco: `${id}.json` } }) }),
    })
  await send(
    'long',
    Array.from({ length: 400 }, () => 'scene.jpg'),
  )
  await send('waits', ['scene.jpg'])
  const stream = await fetch(`${there}/v1/jobs/waits/events`)
  const text = stream.text()
  await other.server.close()
  expect(await text).toContain('"state":"waiting"')
  expect(existsSync(place.at('long.json'))).toBe(false)
})
