/** Videos over HTTP: sent or pushed, prompted, followed line by line, and what ends them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { request as ask } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { type CocoRle, Mask } from '../../lib/index.js'
import { ffmpeg } from '../support/clips.js'
import { clip, inside, iou } from '../support/demo.js'
import { without } from '../support/without.js'
import { demoService, form, type Part, type TestService } from './support.js'

const FRAMES = 8
const PATIENCE = { timeout: 30_000 }
const frames = readdirSync(clip.folder)
  .sort()
  .slice(0, FRAMES)
  .map((name) => readFileSync(path.join(clip.folder, name)))
const dog = clip.objects.find(({ shows }) => shows === 'dog')!

// Where videos are written that come in; other tests run beside this one.
const temporary = mkdtempSync(path.join(tmpdir(), 'sam3-sessions-'))
process.env.TMPDIR = temporary

let service: TestService
beforeAll(async () => {
  service = await demoService({ maxSessions: 2, maxFrames: 20, maxVideoBytes: 5_000_000 })
})
afterAll(async () => {
  await service.server.close()
  rmSync(temporary, { recursive: true, force: true })
})

afterEach(async () => {
  for (const id of started.splice(0)) await call('DELETE', `/v1/sessions/${id}`)
})

const size = { width: dog.masks[0]!.width, height: dog.masks[0]!.height }
const started: string[] = []

interface Frame {
  type: string
  frameIndex: number
  frames?: number
  objects: { id: number; prompt?: string; mask: CocoRle }[]
}

const call = (method: 'POST' | 'DELETE', url: string, payload?: object) =>
  service.server.app.inject({ method, url, payload })
const lines = (body: string) =>
  body
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Frame)
const uploads = () => readdirSync(temporary)

async function startLive(more: object = {}): Promise<string> {
  const answer = await call('POST', '/v1/sessions', {
    live: { ...size, overflow: 'block', maxBuffered: FRAMES },
    ...more,
  })
  expect(answer.json()).toMatchObject(size)
  expect(answer.statusCode).toBe(201)
  const { id } = answer.json() as { id: string }
  started.push(id)
  return id
}

async function pushAll(id: string): Promise<void> {
  for (const frame of frames) {
    const answer = await service.server.app.inject({
      method: 'POST',
      url: `/v1/sessions/${id}/frames`,
      ...form(['image', frame]),
    })
    expect(answer.json()).toEqual({ kept: true })
  }
  expect((await call('POST', `/v1/sessions/${id}/end`)).statusCode).toBe(204)
}

describe('frames that are pushed', () => {
  it('are followed by a click, with lines that have every frame', async () => {
    const id = await startLive()
    await pushAll(id)
    const click = { frameIndex: 0, objectId: 7, points: [inside(dog.masks[0]!)] }
    const first = await call('POST', `/v1/sessions/${id}/prompts`, click)
    expect(first.statusCode).toBe(200)
    expect((first.json() as Frame).objects.map((object) => object.id)).toEqual([7])
    const answer = await call('POST', `/v1/sessions/${id}/propagate`, {})
    expect(answer.headers['content-type']).toBe('application/x-ndjson')
    const found = lines(answer.body)
    expect(found.at(-1)).toEqual({ type: 'end', frames: FRAMES })
    for (const { frameIndex, objects } of found.slice(0, -1))
      expect(iou(Mask.fromRle(objects[0]!.mask), dog.masks[frameIndex]!)).toBeGreaterThan(0.6)
    expect((await call('DELETE', `/v1/sessions/${id}`)).statusCode).toBe(204)
    expect(service.model.stats().sessions).toBe(0)
  })

  it('are refused in another size, and where there are too many', async () => {
    const started = await call('POST', '/v1/sessions', { live: { width: 64, height: 64 } })
    const { id: small } = started.json() as { id: string }
    const push = () =>
      service.server.app.inject({ method: 'POST', url: `/v1/sessions/${small}/frames`, ...form(['image', frames[0]!]) })
    expect((await push()).json()).toMatchObject({ status: 422, code: 'ERR_FRAME_SIZE' })
    for (let time = 0; time < 19; time++) await push()
    expect((await push()).json()).toMatchObject({ status: 413, code: 'ERR_TOO_LARGE' })
    await call('DELETE', `/v1/sessions/${small}`)
  })
})

describe.skipIf(without('ffmpeg'))('a video that is sent', () => {
  const file = path.join(temporary, 'clip.mp4')
  let video: Buffer
  beforeAll(() => {
    ffmpeg('-i', `${clip.folder}/%02d.jpg`, '-frames:v', String(FRAMES), file)
    video = readFileSync(file)
    rmSync(file)
  })
  const start = (...parts: Part[]) =>
    service.server.app.inject({ method: 'POST', url: '/v1/sessions', ...form(...parts) })

  it('is followed by a text, forward and backward, and its file goes with the session', async () => {
    const answer = await start(['history', 'full'], ['video', video], ['hotstartDelay', '0'])
    expect(answer.statusCode).toBe(201)
    const { id, ...about } = answer.json() as { id: string }
    expect(about).toMatchObject({ ...size, frameCount: FRAMES })
    const prompt = await call('POST', `/v1/sessions/${id}/prompts`, { frameIndex: 3, text: 'dog' })
    expect(prompt.json()).toMatchObject({ frameIndex: 3, promptIndex: 0, objects: [{ prompt: 'dog' }] })
    const found = lines((await call('POST', `/v1/sessions/${id}/propagate`, { direction: 'both' })).body)
    const seen = new Set(found.slice(0, -1).map(({ frameIndex }) => frameIndex))
    expect([...seen].sort()).toEqual(frames.map((_, index) => index))
    expect((await call('DELETE', `/v1/sessions/${id}/prompts/0`)).statusCode).toBe(204)
    const empty = await call('POST', `/v1/sessions/${id}/propagate`, {})
    expect(empty.json()).toMatchObject({ status: 422, code: 'ERR_NO_PROMPT' })
    expect((await call('DELETE', `/v1/sessions/${id}`)).statusCode).toBe(204)
    expect(uploads()).toEqual([])
  })

  it('is a body of its own type as well', async () => {
    const headers = { 'content-type': 'video/mp4' }
    const answer = await service.server.app.inject({
      method: 'POST',
      url: '/v1/sessions?history=full',
      payload: video,
      headers,
    })
    expect(answer.statusCode).toBe(201)
    await call('DELETE', answer.headers.location as string)
  })

  it('leaves nothing where it cannot be opened or is too large, and no answer names a path', async () => {
    const broken = await start(['video', Buffer.from('no video at all')])
    expect(broken.json()).toMatchObject({ status: 422, code: 'ERR_INVALID_VIDEO' })
    expect(broken.body).not.toContain(tmpdir())
    expect((await start(['video', Buffer.alloc(6_000_000)])).json()).toMatchObject({ status: 413 })
    expect((await start(['history', 'full'])).json()).toMatchObject({ status: 400 })
    expect((await start(['video', video], ['live', '{"width":9,"height":9}'])).json()).toMatchObject({ status: 400 })
    expect(uploads()).toEqual([])
    expect(service.model.stats().sessions).toBe(0)
  })
})

describe('sessions', () => {
  it('are as many as the service holds', async () => {
    const ids = [await startLive(), await startLive()]
    const third = await call('POST', '/v1/sessions', { live: { width: 9, height: 9 } })
    expect(third.json()).toMatchObject({ status: 429, code: 'ERR_LIMIT_REACHED' })
    for (const id of ids) await call('DELETE', `/v1/sessions/${id}`)
    const gone = await call('POST', `/v1/sessions/${ids[0]}/propagate`, {})
    expect(gone.json()).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' })
  })

  it('tell prompts that cannot be meant', async () => {
    const id = await startLive()
    const prompt = async (body: object) => (await call('POST', `/v1/sessions/${id}/prompts`, body)).json()
    expect(await prompt({ frameIndex: 0, text: 'dog', points: [[1, 1]] })).toMatchObject({ status: 400 })
    expect(await prompt({ frameIndex: 0, objectId: 1, text: 'dog' })).toMatchObject({ status: 400 })
    expect(await prompt({ text: 'dog' })).toMatchObject({ status: 400, code: 'ERR_BAD_REQUEST' })
    await call('DELETE', `/v1/sessions/${id}`)
  })

  it('end when nobody uses them', async () => {
    const idle = await demoService({ sessionIdleMs: 20 })
    const started = await idle.server.app.inject({
      method: 'POST',
      url: '/v1/sessions',
      payload: { live: { width: 9, height: 9 } },
    })
    expect(started.statusCode).toBe(201)
    await vi.waitFor(() => expect(idle.model.stats().sessions).toBe(0), PATIENCE)
    const { statusCode } = await idle.server.app.inject({ method: 'DELETE', url: started.headers.location as string })
    expect(statusCode).toBe(404)
    await idle.server.close()
  })

  it('stop following for a reader who leaves', async () => {
    const id = await startLive()
    await pushAll(id)
    await call('POST', `/v1/sessions/${id}/prompts`, { frameIndex: 0, objectId: 1, points: [inside(dog.masks[0]!)] })
    const address = await service.server.app.listen({ port: 0, host: '127.0.0.1' })
    const headers = { 'content-type': 'application/json' }
    const asked = ask(`${address}/v1/sessions/${id}/propagate`, { method: 'POST', headers })
    asked.on('error', () => {}) // it is ended below
    await new Promise<void>((resolve) =>
      asked.end('{}').once('response', (answer) => answer.once('data', () => resolve(asked.destroy() && undefined))),
    )
    // The session is free again for another one.
    await vi.waitFor(async () => {
      const again = await call('POST', `/v1/sessions/${id}/propagate`, {})
      expect(again.statusCode).toBe(200)
    }, PATIENCE)
    await call('DELETE', `/v1/sessions/${id}`)
  })
})
