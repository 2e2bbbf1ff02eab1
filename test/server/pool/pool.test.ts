/** The pool over models that do as they are told. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Sam3AbortError, type Sam3ImageModel, Sam3InputError, Sam3RuntimeError } from '../../../lib/index.js'
import type { Device } from '../../../server/pool/device.js'
import { rejection } from '../../support/model.js'
import { FakeModel, inferenceError, settle, setUp } from './fake-pool.js'

afterEach(() => vi.useRealTimers())

describe('Pool', () => {
  it('hands a device as much as fills its next batches, and the rest as that is done', async () => {
    const { models, ask } = setUp(1)
    const answers = Array.from({ length: 6 }, (_, index) => ask(String(index)))
    await settle()
    expect(models[0]!.names).toEqual(['0', '1', '2', '3'])
    models[0]!.calls[0]!.resolve('zero')
    expect(await answers[0]).toBe('zero')
    await settle()
    expect(models[0]!.names).toEqual(['0', '1', '2', '3', '4'])
  })

  it('gives work to the device that has least to do', async () => {
    const { models, ask } = setUp(2)
    void ask('large', { share: 3 })
    for (const name of ['1', '2', '3']) void ask(name)
    await settle()
    expect(models.map(({ names }) => names)).toEqual([['large'], ['1', '2', '3']])
  })

  it('keeps work where its image lies, and lets others pass it', async () => {
    const { pool, models, ask } = setUp(2)
    for (const name of ['1', '2', '3', '4', '5', '6']) void ask(name, { model: pool.devices[0]!.model })
    void ask('7')
    await settle()
    expect(models.map(({ names }) => names)).toEqual([['1', '2', '3', '4'], ['7']])
  })

  it('lets no client starve another', async () => {
    const { models, ask } = setUp(1, { maxQueueSize: 300 })
    for (let n = 0; n < 200; n++) void ask(`greedy ${n}`, { client: 'greedy' })
    void ask('modest', { client: 'modest' })
    await settle()
    for (const call of models[0]!.calls.slice(0, 2)) call.resolve('')
    await settle()
    expect(models[0]!.names.slice(4)).toContain('modest')
  })

  it('takes high before low', async () => {
    const { models, ask } = setUp(1)
    for (const name of ['1', '2', '3', '4']) void ask(name)
    void ask('low', { priority: 'low' })
    void ask('high', { priority: 'high' })
    await settle()
    models[0]!.calls[0]!.resolve('')
    await settle()
    expect(models[0]!.names.at(-1)).toBe('high')
  })

  it('refuses what the queue has no room for, and says when it will', async () => {
    const { pool, models, ask } = setUp(1, { maxQueueSize: 2 })
    const answers = Array.from({ length: 6 }, (_, index) => ask(String(index)))
    await expect(ask('more')).rejects.toMatchObject({ code: 'ERR_QUEUE_FULL' })
    expect(() => pool.checkRoom()).toThrow(expect.objectContaining({ code: 'ERR_QUEUE_FULL' }))
    expect(pool.retryAfter).toBeGreaterThanOrEqual(1)
    await settle()
    models[0]!.calls[0]!.resolve('')
    await answers[0]
    await settle()
    expect(() => pool.checkRoom()).not.toThrow()
  })

  it('waits for a batch to fill, but not longer than it was told', async () => {
    vi.useFakeTimers()
    const { models, ask } = setUp(1, { maxBatchSize: 3, maxQueueDelayMs: 50 })
    void ask('1')
    await vi.advanceTimersByTimeAsync(49)
    expect(models[0]!.names).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(models[0]!.names).toEqual(['1'])
    for (const name of ['2', '3', '4', '5']) void ask(name)
    await vi.advanceTimersByTimeAsync(0)
    expect(models[0]!.names).toEqual(['1', '2', '3', '4'])
    void ask('click', { share: 0 })
    await vi.advanceTimersByTimeAsync(0)
    expect(models[0]!.names.at(-1)).toBe('click')
    await vi.advanceTimersByTimeAsync(50)
    expect(models[0]!.names.at(-1)).toBe('5')
  })

  it.each(['waiting', 'running'])('lets %s work end at once when its signal fires', async (where) => {
    const { pool, models, ask } = setUp(1)
    const client = new AbortController()
    if (where === 'waiting') for (const name of ['1', '2', '3', '4']) void ask(name)
    const answer = rejection(ask('mine', { signal: client.signal }))
    await settle()
    client.abort(new Sam3AbortError('the client left'))
    expect(await answer).toMatchObject({ code: 'ABORT_ERR' })
    expect(models[0]!.names.includes('mine')).toBe(where === 'running')
    // What runs is the device's load until it has ended.
    expect(pool.devices[0]!.load).toBe(where === 'running' ? 1 : 4)
    for (const call of models[0]!.calls) call.resolve('')
    await settle()
    expect(pool.devices[0]!.load).toBe(0)
  })

  it('does not begin what was given up before', async () => {
    const { models, ask } = setUp(1)
    await expect(ask('mine', { signal: AbortSignal.abort(new Error('too late')) })).rejects.toThrow('too late')
    expect(models[0]!.names).toEqual([])
  })

  it('passes on what is wrong with a request alone', async () => {
    const { pool, models, lost, ask } = setUp(2)
    const answer = rejection(ask('mine'))
    await settle()
    models[0]!.calls[0]!.reject(new Sam3InputError('ERR_INVALID_BOX', 'The box is empty.'))
    expect(await answer).toMatchObject({ code: 'ERR_INVALID_BOX' })
    expect([models[0]!.health, lost, pool.state]).toEqual([undefined, [], 'ready'])
  })
})

describe('what a pool tells of its devices', () => {
  it('is what their engines have counted', async () => {
    const { pool, metrics, models } = setUp(2)
    models[0]!.counted = { deviceBusy: 1500, imageBytes: 100, deviceMemory: { allocated: 5, reserved: 9 } }
    models[1]!.counted = { deviceBusy: 250, imageBytes: 20 }
    pool.observe()
    pool.observe() // read, not counted
    const told = (await metrics.registry.metrics()).split('\n')
    for (const line of [
      'sam3_gpu_memory_bytes{device="fake:0",kind="allocated"} 5',
      'sam3_gpu_memory_bytes{device="fake:0",kind="reserved"} 9',
      'sam3_device_busy_seconds_total{device="fake:0"} 1.5',
      'sam3_device_busy_seconds_total{device="fake:1"} 0.25',
      'sam3_cache_bytes{cache="images"} 120',
    ])
      expect(told).toContain(line)
    expect(told.some((line) => line.startsWith('sam3_gpu_memory_bytes{device="fake:1"'))).toBe(false)
  })
})

describe('Pool, when a device fails', () => {
  it('tries its work elsewhere, and asks it no more', async () => {
    const { pool, models, lost, ask } = setUp(2)
    const answers = ['1', '2', '3', '4'].map((name) => ask(name))
    await settle()
    expect(models[0]!.names).toEqual(['1', '3'])
    for (const call of models[0]!.calls) call.reject(inferenceError())
    await settle()
    models[0]!.health!.reject(inferenceError())
    await settle()
    expect(models[1]!.names.toSorted()).toEqual(['1', '2', '3', '4'])
    for (const call of models[1]!.calls) call.resolve(`done ${call.name}`)
    expect(await Promise.all(answers)).toEqual(['done 1', 'done 2', 'done 3', 'done 4'])
    expect([lost, pool.state, pool.isAlive]).toEqual([['fake:0'], 'ready', true])
    const later = ask('5')
    await settle()
    models[1]!.calls.at(-1)!.resolve('done 5')
    expect(await later).toBe('done 5')
    expect(models[0]!.names).toEqual(['1', '3'])
  })

  it('asks it nothing while it is in doubt, and keeps it when it answers', async () => {
    const { pool, models, lost, ask } = setUp(1)
    const answer = rejection(ask('strange'))
    await settle()
    models[0]!.calls[0]!.reject(inferenceError())
    await settle()
    const next = ask('next')
    await settle()
    expect(models[0]!.names).toEqual(['strange'])
    const dispose = vi.fn()
    models[0]!.health!.resolve({ dispose })
    // The request was at fault: its error is its own.
    expect(await answer).toMatchObject({ code: 'ERR_INFERENCE' })
    expect(dispose).toHaveBeenCalledOnce()
    await settle()
    models[0]!.calls[1]!.resolve('done')
    expect(await next).toBe('done')
    expect([lost, pool.state]).toEqual([[], 'ready'])
  })

  it('takes a device that is full for no broken one', async () => {
    const { pool, models, ask } = setUp(1)
    const answer = rejection(ask('mine'))
    await settle()
    models[0]!.calls[0]!.reject(inferenceError())
    await settle()
    models[0]!.health!.reject(new Sam3RuntimeError('ERR_OUT_OF_MEMORY', 'No memory.'))
    expect(await answer).toMatchObject({ code: 'ERR_INFERENCE' })
    expect(pool.state).toBe('ready')
  })

  it('says that what was kept there is gone', async () => {
    const { pool, models, ask } = setUp(2)
    const [{ model }] = pool.devices as [Device]
    const running = rejection(ask('running', { model }))
    const waiting = ['1', '2', '3', '4'].map((name) => rejection(ask(name, { model })))
    await settle()
    models[0]!.calls[0]!.reject(new Sam3RuntimeError('ERR_DISPOSED', 'The model was disposed.'))
    for (const one of models[0]!.calls.slice(1)) one.reject(new Sam3RuntimeError('ERR_DISPOSED', 'Disposed.'))
    for (const error of await Promise.all([running, ...waiting])) expect(error).toMatchObject({ code: 'ERR_NOT_FOUND' })
    expect(await rejection(ask('later', { model }))).toMatchObject({ code: 'ERR_NOT_FOUND' })
    expect(models[1]!.names).toEqual([])
  })

  it('lets one request break two devices at most', async () => {
    const { pool, models, lost, ask } = setUp(3)
    const answer = rejection(ask('poison'))
    for (const model of models.slice(0, 2)) {
      await settle()
      model.calls[0]!.reject(inferenceError())
      await settle()
      model.health!.reject(inferenceError())
    }
    expect(await answer).toMatchObject({ code: 'ERR_NOT_READY' })
    expect([lost, pool.state]).toEqual([['fake:0', 'fake:1'], 'ready'])
  })

  it('refuses everything once none is left', async () => {
    const { pool, models, lost, ask } = setUp(1)
    const answers = Array.from({ length: 6 }, (_, index) => rejection(ask(String(index))))
    await settle()
    for (const call of models[0]!.calls) call.reject(new Sam3RuntimeError('ERR_DISPOSED', 'The model was disposed.'))
    for (const error of await Promise.all(answers)) expect(error).toMatchObject({ code: 'ERR_NOT_READY' })
    expect([lost, pool.state, pool.isAlive]).toEqual([['fake:0'], 'failed', false])
    expect(() => pool.checkRoom()).toThrow(expect.objectContaining({ code: 'ERR_NOT_READY' }))
    expect(await rejection(ask('later'))).toMatchObject({ code: 'ERR_NOT_READY' })
  })
})

describe('Pool, at its beginning and its end', () => {
  it('is not ready before it has a model', async () => {
    const { pool, ask } = setUp(0)
    expect([pool.state, pool.isAlive]).toEqual(['loading', true])
    expect(() => pool.checkRoom()).toThrow(expect.objectContaining({ code: 'ERR_NOT_READY', retryAfter: 5 }))
    // What does not come from a client's request, as jobs, waits for a model.
    const answer = ask('early')
    const model = new FakeModel('fake')
    pool.add(model as unknown as Sam3ImageModel)
    await settle()
    model.calls[0]!.resolve('done')
    expect(await answer).toBe('done')
  })

  it('drains: requests that were taken are done, no more are taken', async () => {
    const { pool, models, ask } = setUp(1)
    pool.drain()
    expect(pool.state).toBe('draining')
    expect(() => pool.checkRoom()).toThrow(expect.objectContaining({ code: 'ERR_NOT_READY' }))
    const answer = ask('of a request that was taken')
    await settle()
    models[0]!.calls[0]!.resolve('done')
    expect(await answer).toBe('done')
  })

  it('disposes of its models and of what waits', async () => {
    const { pool, models, lost, ask } = setUp(2)
    const answers = Array.from({ length: 10 }, (_, index) => rejection(ask(String(index))))
    await settle()
    const disposed = pool.dispose()
    for (const call of models.flatMap(({ calls }) => calls)) call.reject(new Sam3RuntimeError('ERR_DISPOSED', ''))
    await disposed
    expect(models.map((model) => model.disposed)).toEqual([true, true])
    const codes = (await Promise.all(answers)).map(({ code }) => code)
    expect(codes.filter((code) => code === 'ERR_NOT_READY')).toHaveLength(2)
    expect(codes.filter((code) => code === 'ERR_DISPOSED')).toHaveLength(8)
    expect(lost).toEqual([])
  })
})
