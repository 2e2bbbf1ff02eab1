/** Devices that fall silent: no error comes, no answer either. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Sam3ImageModel, Sam3AbortError, Sam3VideoModel } from '../../../lib/index.js'
import { buildServer } from '../../../server/index.js'
import { clip } from '../../support/demo.js'
import { rejection } from '../../support/model.js'
import { form, picture } from '../support.js'
import { FakeModel, inferenceError, setUp } from './fake-pool.js'

const TIMEOUT = 1000

describe('a device that says nothing', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

  it('is taken out, and its work is done elsewhere', async () => {
    const { pool, metrics, models, lost, ask } = setUp(2, { deviceTimeoutMs: TIMEOUT })
    const answers = ['1', '2', '3', '4'].map((name) => ask(name))
    await pass(0)
    for (const call of models[1]!.calls) call.resolve(`done ${call.name}`)
    await pass(TIMEOUT - 1)
    expect([lost, models[1]!.names]).toEqual([[], ['2', '4']])
    await pass(1)
    expect(lost).toEqual(['fake:0'])
    expect(models[1]!.names).toEqual(['2', '4', '1', '3'])
    for (const call of models[1]!.calls) call.resolve(`done ${call.name}`)
    expect(await Promise.all(answers)).toEqual(['done 1', 'done 2', 'done 3', 'done 4'])
    expect([pool.state, pool.devices.map(({ state }) => state)]).toEqual(['ready', ['stalled', 'works']])
    expect(pool.devices[0]!.failure).toMatchObject({ code: 'ERR_DEVICE_UNAVAILABLE' })
    const told = (await metrics.registry.metrics()).split('\n')
    expect(told).toContain('sam3_device_up{device="fake:0"} 0')
    expect(told).toContain('sam3_device_up{device="fake:1"} 1')
    expect(told).toContain('sam3_devices_lost_total{reason="stalled"} 1')
    // What it says after all is no news.
    models[0]!.calls[0]!.reject(inferenceError())
    await pass(10 * TIMEOUT)
    expect(lost).toEqual(['fake:0'])
  })

  it('is taken out when its clients have left, too', async () => {
    const { models, lost, ask } = setUp(1, { deviceTimeoutMs: TIMEOUT })
    const client = new AbortController()
    const [mine, waiting] = ['1', '2'].map((name) => rejection(ask(name, { signal: client.signal })))
    await pass(TIMEOUT / 4)
    client.abort(new Sam3AbortError('the client left'))
    models[0]!.calls[1]!.reject(new Sam3AbortError('the client left')) // it was not begun yet
    for (const error of await Promise.all([mine, waiting])) expect(error).toMatchObject({ code: 'ABORT_ERR' })
    await pass((TIMEOUT / 4) * 3)
    expect(lost).toEqual(['fake:0'])
  })

  it('is taken out when it does not answer the question whether it works', async () => {
    const { pool, models, lost, ask } = setUp(1, { deviceTimeoutMs: TIMEOUT })
    const answer = rejection(ask('strange'))
    await pass(0)
    models[0]!.calls[0]!.reject(inferenceError())
    await pass(TIMEOUT)
    expect(await answer).toMatchObject({ code: 'ERR_NOT_READY' })
    expect([lost, pool.isAlive, pool.state]).toEqual([['fake:0'], false, 'failed'])
  })

  it('stays where the work is slow on its way, and the device itself answers', async () => {
    const { pool, models, lost, ask } = setUp(1, { deviceTimeoutMs: TIMEOUT })
    const answer = ask('opens a large video')
    await pass(TIMEOUT / 2)
    const next = ask('next')
    await pass(0)
    expect(models[0]!.names).toEqual(['opens a large video'])
    models[0]!.health!.resolve({ dispose: () => {} })
    await pass(0)
    expect(models[0]!.names).toEqual(['opens a large video', 'next'])
    await pass(TIMEOUT / 2 - 1)
    for (const call of models[0]!.calls) call.resolve('done')
    expect(await Promise.all([answer, next])).toEqual(['done', 'done'])
    await pass(10 * TIMEOUT)
    expect([lost, pool.state]).toEqual([[], 'ready'])
  })

  it('stays where it has nothing to do, is a CPU, or is never to be judged', async () => {
    const idle = setUp(1, { deviceTimeoutMs: TIMEOUT })
    const never = setUp(1, { deviceTimeoutMs: 0 })
    const cpu = setUp(0)
    cpu.pool.add(new FakeModel('cpu') as unknown as Sam3ImageModel)
    void never.ask('1')
    void cpu.ask('1')
    await pass(3_600_000)
    expect([idle.lost, never.lost, cpu.lost]).toEqual([[], [], []])
  })
})

/** A model for videos whose every call is silence. */
class SilentModel extends FakeModel {
  closed = 0
  segment = () => this.call('segment')
  override dispose = () => new Promise<never>(() => {})
  startSession = async () => ({
    width: 8,
    height: 8,
    frameCount: 3,
    addPoints: async () => ({}),
    close: () => {
      this.closed++
      return new Promise<never>(() => {})
    },
    async *propagate() {
      yield { frameIndex: 0, objects: [] }
      await new Promise<never>(() => {})
    },
  })
}

/** A model for videos that never answers, as the pool takes it. */
function silentModel(): { silent: SilentModel; model: Sam3VideoModel } {
  const silent = new SilentModel('cuda:0')
  const bound = ['encode', 'stats', 'call'].map((name) => [name, silent[name as 'call'].bind(silent)])
  const model = Object.create(Sam3VideoModel.prototype) as Sam3VideoModel
  return { silent, model: Object.assign(model, silent, Object.fromEntries(bound)) }
}

it('a job that follows a video ends, as one that can be tried again', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sam3-stalled-'))
  const { model } = silentModel()
  const options = { warmup: false, deviceTimeoutMs: 200, jobAttempts: 1, jobRoots: [folder, clip.folder] }
  const server = await buildServer(model, options, { logger: false })
  const job = { id: 'one', kind: 'track', video: clip.folder, outputs: { coco: 'tracks.json' } }
  const objects = [{ frameIndex: 0, objectId: 1, points: [[5, 5]] }]
  const posted = await server.app.inject({ method: 'POST', url: '/v1/jobs', payload: { ...job, objects } })
  expect(posted.statusCode, posted.body).toBe(202)
  const view = async () => (await server.app.inject({ url: '/v1/jobs/one' })).json<{ state: string; error?: object }>()
  await expect.poll(async () => (await view()).state, { timeout: 20_000 }).toBe('failed')
  expect((await view()).error).toMatchObject({ code: 'ERR_DEVICE_UNAVAILABLE' })
  expect(readdirSync(folder).filter((name) => !name.startsWith('.'))).toEqual([])
  await server.close()
  rmSync(folder, { recursive: true })
})

it('the service says so: 503 for what it held, probes that fail, and an end that waits for nobody', async () => {
  const { silent, model } = silentModel()
  const server = await buildServer(model, { warmup: false, deviceTimeoutMs: 200 }, { logger: false })
  const live = { live: { width: 8, height: 8 } }
  const { id } = (await server.app.inject({ method: 'POST', url: '/v1/sessions', payload: live })).json<{
    id: string
  }>()
  const ask = { method: 'POST', url: '/v1/segment', ...form(['text', 'cup'], ['image', picture]) } as const
  const [held, followed] = await Promise.all([
    server.app.inject(ask),
    server.app.inject({ method: 'POST', url: `/v1/sessions/${id}/propagate`, payload: {} }),
  ])
  expect(held.json()).toMatchObject({ status: 503, code: 'ERR_NOT_READY' })
  const lines = followed.body.trim().split('\n')
  expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual(['frame', 'error'])
  expect(lines[1]).toContain('ERR_NOT_FOUND')
  const get = async (url: string) => {
    const { statusCode, body } = await server.app.inject({ url })
    return [statusCode, JSON.parse(body)]
  }
  expect(await get('/livez')).toEqual([503, { status: 'device stalled' }])
  const devices = [{ name: 'cuda:0', status: 'stalled' }]
  expect(await get('/readyz')).toEqual([503, { status: 'device stalled', devices }])
  expect(await get(`/v1/sessions/${id}`)).toMatchObject([404, {}])
  expect(silent.closed).toBe(1)
  await server.close()
})
