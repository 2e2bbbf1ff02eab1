/** A worker whose device fails or falls silent: its jobs fail, to be tried elsewhere, and its probes say so. */
import fastify from 'fastify'
import { expect, it } from 'vitest'
import { Sam3InputError, Sam3RuntimeError, type Sam3ImageModel } from '../../../lib/index.js'
import { probes, type WorkerState, watched } from '../../../server/app/worker-device.js'
import { isPassing } from '../../../server/jobs/job/failure.js'
import { Device } from '../../../server/pool/device.js'
import { rejection } from '../../support/model.js'
import { FakeModel } from '../pool/fake-pool.js'
import { fakeModel } from './fake-model.js'

/** A worker on a device that may be silent for so many milliseconds. */
function worker(timeoutMs: number) {
  const model = new FakeModel('cuda:0')
  const device = new Device('cuda:0', model as unknown as Sam3ImageModel, timeoutMs)
  const jobs = fakeModel()
  const state: WorkerState = { device, worker: { active: 0, isConnected: true }, isClosing: false }
  const app = fastify()
  probes(app, () => state)
  const get = async (url: string) => {
    const { statusCode, body } = await app.inject({ url })
    return [statusCode, body]
  }
  return { model, device, jobs, state, get, own: watched(jobs, device) }
}

const picture = Buffer.from('picture')

it('gives up what a silent device has, as what may go well elsewhere', async () => {
  const { jobs, get, own } = worker(100)
  expect(await get('/livez')).toEqual([200, '{"status":"alive"}'])
  expect(await get('/readyz')).toEqual([200, '{"status":"ready"}'])
  jobs.gate = () => new Promise(() => {})
  const error = await rejection(own.segment(picture, [{ text: 'cup' }]))
  expect(error).toMatchObject({ code: 'ERR_DEVICE_UNAVAILABLE' })
  expect(isPassing(error)).toBe(true)
  expect(await get('/livez')).toEqual([503, '{"status":"device stalled"}'])
  expect(await get('/readyz')).toEqual([503, '{"status":"device stalled"}'])
  expect((await get('/metrics'))[1]).toContain('sam3_device_up{device="cuda:0"} 0')
})

it('takes a device out that failed, and keeps one that was asked something wrong', async () => {
  const { model, jobs, get, own } = worker(0)
  jobs.gate = () => Promise.reject(new Sam3InputError('ERR_INVALID_BOX', 'The box is empty.'))
  expect(await rejection(own.segment(picture, [{ text: 'cup' }]))).toMatchObject({ code: 'ERR_INVALID_BOX' })
  expect(await get('/livez')).toEqual([200, '{"status":"alive"}'])
  jobs.gate = () => Promise.reject(new Sam3RuntimeError('ERR_INFERENCE', 'CUDA error: an illegal memory access.'))
  const failing = rejection(own.segment(picture, [{ text: 'cup' }]))
  await expect.poll(() => model.health).toBeDefined()
  model.health!.reject(new Sam3RuntimeError('ERR_INFERENCE', 'CUDA error: an illegal memory access.'))
  expect(await failing).toMatchObject({ code: 'ERR_INFERENCE' })
  expect(await get('/livez')).toEqual([503, '{"status":"device lost"}'])
  expect((await get('/metrics'))[1]).toContain('sam3_device_up{device="cuda:0"} 0')
})

it('is alive while it loads and while it ends', async () => {
  const { device, state, get } = worker(0)
  state.device = undefined
  state.worker = undefined
  expect(await get('/livez')).toEqual([200, '{"status":"alive"}'])
  expect(await get('/readyz')).toEqual([503, '{"status":"loading"}'])
  Object.assign(state, { device, worker: { active: 0, isConnected: false } })
  expect(await get('/readyz')).toEqual([503, '{"status":"no queue"}'])
  state.isClosing = true
  expect(await get('/readyz')).toEqual([503, '{"status":"draining"}'])
})
