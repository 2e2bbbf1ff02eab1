/** Cancelling, queueing, disposing, threads and process exit: nothing crashes, nothing blocks, nothing is left behind. */
import { execFile } from 'node:child_process'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sam3AbortError, type Sam3ImageModel, Sam3Processor } from '../../../lib/index.js'
import { buildTestModel, noiseImage, rejection } from '../../support/model.js'
import { goldenModels, repositoryRoot } from '../../support/paths.js'
import { hereInPrograms, testDevice, testDtype } from '../../support/where.js'

const image = noiseImage(640, 480)
let model: Sam3ImageModel
beforeAll(async () => {
  model = await buildTestModel()
})
afterAll(() => model.dispose())

/** Keeps a model's engine busy, so that whatever is asked meanwhile waits. @returns what lets it go */
async function keepBusy(busy: Sam3ImageModel): Promise<() => Promise<void>> {
  const stop = new AbortController()
  const text = Array.from({ length: 300 }, (_, index) => `thing ${index}`)
  const working = rejection(busy.segment(image, { text }, { signal: stop.signal }))
  await setImmediate()
  while (busy.stats().queued > 0) await setImmediate()
  return async () => {
    stop.abort()
    // It was at work all the time: what has ended cannot be stopped.
    expect(await working).toBeInstanceOf(Sam3AbortError)
  }
}

describe('loading', () => {
  it('reports progress up to the end', async () => {
    const steps: { done: number; total: number }[] = []
    const loaded = await buildTestModel({ onLoadProgress: (step) => steps.push(step) })
    await loaded.dispose()
    expect(steps.length).toBeGreaterThan(10)
    expect(steps.at(-1)!.done).toBe(steps.at(-1)!.total)
    expect(steps.map(({ done }) => done)).toEqual(steps.map(({ done }) => done).toSorted((a, b) => a - b))
  })

  it('says what it is', () => {
    expect(model.info).toMatchObject({ dtype: testDtype, inputSize: 168 })
    expect(model.info.device).toMatch(new RegExp(`^${testDevice}`))
    expect(model.info.validInputSizes).toContain(168)
    expect(model.info.parameters).toBeGreaterThan(1_000_000)
  })

  it('can be given up', async () => {
    const error = await rejection(buildTestModel({ signal: AbortSignal.abort('no time') }))
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: 'no time' })
    const controller = new AbortController()
    const loading = buildTestModel({ signal: controller.signal })
    controller.abort()
    expect(await rejection(loading)).toBeInstanceOf(Sam3AbortError)
  })

  it('runs at another input size', async () => {
    const larger = await buildTestModel({ inputSize: 336 })
    const result = await larger.predict(image, { points: [[320, 240]] })
    expect(result.best.mask.logits).toMatchObject({ width: 96, height: 96 })
    await larger.dispose()
  })
})

describe('AbortSignal', () => {
  it('stops a call before it begins', async () => {
    const error = await rejection(model.segment(image, 'cat', { signal: AbortSignal.abort('changed my mind') }))
    expect(error).toBeInstanceOf(Sam3AbortError)
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: 'changed my mind' })
  })

  it('takes waiting calls out of the queue and leaves the others', async () => {
    const letGo = await keepBusy(model)
    const controller = new AbortController()
    const calls = Array.from({ length: 12 }, (_, index) =>
      model.segment(image, { text: 'cat', threshold: 0 }, index % 2 ? { signal: controller.signal } : {}),
    )
    await setImmediate()
    expect(model.stats().queued).toBe(12)
    controller.abort()
    for (const call of calls.filter((_, index) => index % 2))
      expect(await rejection(call)).toBeInstanceOf(Sam3AbortError)
    expect(model.stats().queued).toBe(6)
    await letGo()
    for (const { width } of await Promise.all(calls.filter((_, index) => index % 2 === 0))) expect(width).toBe(640)
  })

  it('stops encode, predict and a batch as well', async () => {
    for (const call of [
      (signal: AbortSignal) => model.encode(image, { signal }),
      (signal: AbortSignal) => model.predict(image, { points: [[1, 1]] }, { signal }),
      (signal: AbortSignal) =>
        model.segmentBatch(
          Array.from({ length: 40 }, () => ({ image, text: 'cat' })),
          { signal },
        ),
    ]) {
      const controller = new AbortController()
      const pending = rejection(call(controller.signal))
      controller.abort()
      expect(await pending).toMatchObject({ code: 'ABORT_ERR' })
    }
    expect((await model.segment(image, 'cat')).width).toBe(640)
  })
})

describe('queue', () => {
  it('refuses calls beyond its limit, and serves those within', async () => {
    const small = await buildTestModel({ queueLimit: 2 })
    const letGo = await keepBusy(small)
    const [first, second, ...more] = Array.from({ length: 5 }, () => small.segment(image, 'cat'))
    for (const call of more)
      expect(await rejection(call)).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_QUEUE_FULL' })
    await letGo()
    expect((await first!).width).toBe(640)
    expect((await second!).width).toBe(640)
    expect((await small.segment(image, 'cat')).width).toBe(640)
    await small.dispose()
  })

  it('gives the same answers to many callers at once as to one after the other', async () => {
    const texts = ['cat', 'a red ellipse', 'yellow school bus', 'cat']
    const ask = (text: string) => model.segment(image, { text, threshold: 0, maxInstances: 3 })
    const together = await Promise.all(texts.map(ask))
    for (const [index, text] of texts.entries()) {
      const alone = await ask(text)
      alone.instances.forEach(({ score }, rank) => {
        expect(together[index]!.instances[rank]!.score).toBeCloseTo(score, 4)
      })
    }
  })

  it('keeps the answers of a long batch in the order of its items', async () => {
    const images = Array.from({ length: 21 }, (_, index) => noiseImage(20 + index, 30, index))
    const results = await model.segmentBatch(
      images.map((one) => ({ image: one, text: 'cat', threshold: 0, maxInstances: 1 })),
    )
    expect(results.map(([first]) => first!.width)).toEqual(images.map(({ width }) => width))
    const [alone] = await model.segment(images[17]!, [{ text: 'cat', threshold: 0, maxInstances: 1 }])
    expect(results[17]![0]!.instances[0]!.score).toBeCloseTo(alone!.instances[0]!.score, 4)
    const withBad = images.map((one, index) => ({ image: index === 13 ? Buffer.from('bad') : one, text: 'cat' }))
    const error = await rejection(model.segmentBatch(withBad))
    expect(error).toMatchObject({ code: 'ERR_INVALID_IMAGE', message: expect.stringContaining('Item 13 ') })
  })

  it('leaves the event loop free', async () => {
    const delay = monitorEventLoopDelay({ resolution: 5 })
    const big = await buildTestModel({ inputSize: 336, threads: 1 })
    delay.enable()
    const running = big.segment(image, { text: 'cat' })
    let turns = 0
    const done = running.then(() => (turns = -turns))
    while (turns >= 0 && turns < 10_000) {
      await setTimeout(5)
      if (turns >= 0) turns++
    }
    await done
    delay.disable()
    expect(-turns).toBeGreaterThan(3) // timers fired while the network ran
    await big.dispose()
  })
})

describe('dispose', () => {
  it('ends running and waiting calls, refuses later ones, and can be repeated', async () => {
    const other = await buildTestModel()
    const encoded = await other.encode(image)
    // The first has much to do; the others wait.
    const text = Array.from({ length: 300 }, (_, index) => `thing ${index}`)
    const calls = [other.segment(image, { text }), ...['a', 'b', 'c'].map((one) => other.segment(image, one))].map(
      rejection,
    )
    await setImmediate()
    await Promise.all([other.dispose(), other.dispose()])
    for (const error of await Promise.all(calls)) expect(error).toMatchObject({ code: 'ERR_DISPOSED' })
    for (const call of [
      other.segment(image, 'cat'),
      other.segmentBatch([{ image, text: 'cat' }]),
      other.encode(image),
      other.predict(image, { points: [[1, 1]] }),
      encoded.segment('cat'),
      encoded.predict({ points: [[1, 1]] }),
    ]) {
      expect(await rejection(call)).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_DISPOSED' })
    }
    expect(() => other.stats()).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }))
    encoded.dispose()
    await other.dispose()
  })

  it('is what `await using` and `using` call', async () => {
    const other = await buildTestModel()
    const encoded = await other.encode(image)
    encoded[Symbol.dispose]()
    expect(await rejection(encoded.segment('cat'))).toMatchObject({ code: 'ERR_DISPOSED' })
    await other[Symbol.asyncDispose]()
    expect(await rejection(other.segment(image, 'cat'))).toMatchObject({ code: 'ERR_DISPOSED' })
  })

  it('of an image leaves the model and calls under way alone', async () => {
    const encoded = await model.encode(image)
    const running = encoded.segment({ text: 'cat', threshold: 0 })
    encoded.dispose()
    encoded.dispose()
    expect((await running).instances.length).toBeGreaterThan(0)
    expect(await rejection(encoded.predict({ points: [[1, 1]] }))).toMatchObject({ code: 'ERR_DISPOSED' })
    expect((await model.segment(image, 'cat')).width).toBe(640)
  })

  it('an image of one model is refused by another', async () => {
    const other = await buildTestModel()
    const encoded = await other.encode(image)
    expect(await rejection(model.segment(encoded, 'cat'))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
    expect((await other.segment(encoded, 'cat')).width).toBe(640)
    await other.dispose()
  })
})

describe('Sam3Processor', () => {
  it('replaces the text, keeps and appends boxes, resets, and runs again on a new threshold', async () => {
    const processor = new Sam3Processor(model, { confidenceThreshold: 0 })
    const state = await processor.setImage(image)
    expect(state).toMatchObject({ text: undefined, masks: [], boxes: [], scores: [] })
    const scores = async (prompt: object) =>
      (await state.image.segment({ threshold: 0, normalized: true, ...prompt })).instances.map(({ score }) => score)
    const box = [0.1, 0.2, 0.5, 0.6] as const
    const center = [0.3, 0.4, 0.4, 0.4] as const

    expect(await processor.setTextPrompt('cat', state)).toBe(state)
    expect(state.scores).toEqual(await scores({ text: 'cat' }))
    await processor.addGeometricPrompt(center, true, state)
    expect(state.boxPrompts).toHaveLength(1)
    expect(state.scores[0]).toBeCloseTo((await scores({ text: 'cat', boxes: [box] }))[0]!, 4)
    await processor.setTextPrompt('a red ellipse', state)
    expect(state.scores[0]).toBeCloseTo((await scores({ text: 'a red ellipse', boxes: [box] }))[0]!, 4)
    await processor.addGeometricPrompt(center, false, state)
    expect(state.boxPrompts.map(({ label }) => label)).toEqual(['positive', 'negative'])

    const before = state.scores
    const threshold = before[3]!
    expect(await processor.setConfidenceThreshold(threshold, state)).toBe(state)
    expect(state.scores.length).toBeLessThan(before.length)
    expect(state.masks).toHaveLength(state.scores.length)

    processor.resetAllPrompts(state)
    expect(state).toMatchObject({ text: undefined, boxPrompts: [], result: undefined, masks: [] })
    await processor.setConfidenceThreshold(0, state)
    expect(state.result).toBeUndefined()
    await processor.addGeometricPrompt(center, true, state)
    expect(state.scores[0]).toBeCloseTo((await scores({ boxes: [box] }))[0]!, 4)

    const kept = state.scores
    expect(await rejection(processor.addGeometricPrompt([2, 2, 0.1, 0.1], true, state))).toMatchObject({
      code: 'ERR_INVALID_BOX',
    })
    expect(state.boxPrompts).toHaveLength(1)
    expect(state.scores).toEqual(kept)
    await expect(processor.setConfidenceThreshold(2, state)).rejects.toMatchObject({ code: 'ERR_INVALID_THRESHOLD' })
    state.dispose()
  })

  it('loses nothing of calls that come at once', async () => {
    const processor = new Sam3Processor(model, { confidenceThreshold: 0 })
    using state = await processor.setImage(image)
    await Promise.all([
      processor.addGeometricPrompt([0.3, 0.4, 0.4, 0.4], true, state),
      processor.setTextPrompt('cat', state),
      processor.addGeometricPrompt([0.7, 0.7, 0.2, 0.2], false, state),
      processor.setConfidenceThreshold(0.01, state),
    ])
    expect(state.boxPrompts.map(({ label }) => label)).toEqual(['positive', 'negative'])
    const prompt = { text: 'cat', boxes: state.boxPrompts, normalized: true, threshold: 0.01 }
    expect(state.scores).toEqual((await state.image.segment(prompt)).instances.map(({ score }) => score))
  })
})

const packageUrl = pathToFileURL(`${repositoryRoot}/dist/index.js`).href

/** Runs a program against the built package in a process of its own. */
async function runProgram(source: string): Promise<{ stdout: string; stderr: string; code: number }> {
  const prelude = `
    import { buildSam3ImageModel } from ${JSON.stringify(packageUrl)}
    const options = { model: ${JSON.stringify(goldenModels.safetensors)}, ...${JSON.stringify(hereInPrograms)} }
    const image = { width: 640, height: 480, channels: 3, data: new Uint8Array(640 * 480 * 3).fill(90) }
  `
  const child = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', prelude + source], {
    timeout: 60_000,
  })
  return child.then(
    ({ stdout, stderr }) => ({ stdout, stderr, code: 0 }),
    (error) => ({ stdout: error.stdout, stderr: error.stderr, code: error.code ?? error.signal }),
  )
}

describe('the process', () => {
  it.each([
    [
      'ends by itself when the work is done',
      'const m = await buildSam3ImageModel(options); await m.segment(image, "cat"); await m.dispose()',
      0,
    ],
    [
      'ends by itself with a model that was not disposed',
      'const m = await buildSam3ImageModel(options); await m.segment(image, "cat")',
      0,
    ],
    [
      'process.exit() while a call runs',
      'const m = await buildSam3ImageModel(options); m.segment(image, "cat").catch(() => {}); setImmediate(() => process.exit(7))',
      7,
    ],
    [
      'process.exit() while a model loads',
      'buildSam3ImageModel(options).catch(() => {}); setImmediate(() => process.exit(8))',
      8,
    ],
    [
      'an uncaught error while calls run',
      'const m = await buildSam3ImageModel(options); for (let i = 0; i < 5; i++) m.segment(image, "cat").catch(() => {}); setImmediate(() => { throw new Error("boom") })',
      1,
    ],
  ])('%s', async (_name, source, code) => {
    const result = await runProgram(source)
    expect(result).toMatchObject({ code, stdout: '' })
    expect(result.stderr.replace(/[\s\S]*boom[\s\S]*/, '')).toBe('')
  })

  const worker = `
    import { readFileSync } from 'node:fs'
    import { Worker } from 'node:worker_threads'
    const source = \`
      import { parentPort } from 'node:worker_threads'
      import { buildSam3ImageModel } from ${JSON.stringify(packageUrl)}
      const model = await buildSam3ImageModel(\${JSON.stringify(options)})
      const image = { width: 640, height: 480, channels: 3, data: new Uint8Array(640 * 480 * 3).fill(90) }
      const { width } = await model.segment(image, 'cat')
      parentPort.postMessage(width)
      if (DISPOSE) await model.dispose()
      else for (;;) await model.segment(image, 'cat')
    \`
    const start = (dispose) => new Worker(new URL('data:text/javascript,' + encodeURIComponent(source.replace('DISPOSE', dispose))))
  `
  it('several worker threads have models of their own', async () => {
    const result = await runProgram(`${worker}
      const outcomes = [start(true), start(true)].map((w) => [
        new Promise((resolve, reject) => { w.on('message', resolve); w.on('error', reject) }),
        new Promise((resolve) => w.on('exit', resolve)),
      ])
      const [widths, codes] = await Promise.all([0, 1].map((part) => Promise.all(outcomes.map((outcome) => outcome[part]))))
      // LibTorch keeps what the engine registered with it: the code must outlive the threads that loaded it.
      const stays = readFileSync('/proc/self/maps', 'utf8').includes('libsam3_engine.so')
      const main = await buildSam3ImageModel(options)
      console.log(JSON.stringify([widths, codes, stays, (await main.segment(image, 'cat')).width]))`)
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(result.stdout)).toEqual([[640, 640], [0, 0], true, 640])
  })

  it('a worker thread can be terminated in the middle of a call', async () => {
    const result = await runProgram(`${worker}
      for (let round = 0; round < 3; round++) {
        const w = start(false)
        await new Promise((resolve, reject) => { w.on('message', resolve); w.on('error', reject) })
        await new Promise((resolve) => setTimeout(resolve, 30 * round))
        await w.terminate()
      }
      const main = await buildSam3ImageModel(options)
      console.log((await main.segment(image, 'cat')).width)`)
    expect(result).toMatchObject({ code: 0, stderr: '', stdout: '640\n' })
  })
})
