/** What a model tells of where its time goes: each call's stages, and their sums. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CallReport, CallStage, Sam3ImageModel } from '../../../lib/index.js'
import { buildTestModel, noiseImage, rejection } from '../../support/model.js'

const image = noiseImage(640, 480)
let model: Sam3ImageModel
beforeAll(async () => {
  model = await buildTestModel()
})
afterAll(() => model.dispose())

const stagesOf = ({ stages }: CallReport): CallStage[] => stages.map(({ stage }) => stage)

/** Runs `work`, and gives what was told meanwhile. */
async function reportsOf(work: (onStages: (report: CallReport) => void) => Promise<unknown>): Promise<CallReport[]> {
  const reports: CallReport[] = []
  await work((report) => reports.push(report))
  return reports
}

describe('the stages of a call', () => {
  it('lie one after another within the call, by the clock of this thread', async () => {
    const before = performance.now()
    const [report] = await reportsOf((onStages) => model.segment(image, { text: 'cat' }, { onStages }))
    const after = performance.now()
    expect(report).toMatchObject({ calls: 1, images: 1 })
    expect(stagesOf(report!)).toEqual(['queue', 'prepare', 'encode', 'detect', 'masks'])
    let last = before
    for (const { start, end } of report!.stages) {
      expect(start).toBeGreaterThanOrEqual(last - 0.1) // two clocks are read one after the other
      expect(end).toBeGreaterThanOrEqual(start)
      last = end
    }
    expect(last).toBeLessThanOrEqual(after + 0.1)
  })

  it('are those that there was something to do in', async () => {
    const encoding = await reportsOf(async (onStages) => (await model.encode(image, { onStages })).dispose())
    expect(encoding.map(stagesOf)).toEqual([['queue', 'prepare', 'encode']])
    using encoded = await model.encode(image)
    const clicking = await reportsOf((onStages) => encoded.predict({ points: [[320, 240]], labels: [1] }, { onStages }))
    expect(clicking.map(stagesOf)).toEqual([['queue', 'detect', 'masks']])
  })

  it('name the batch: another one for each call that runs alone', async () => {
    const reports = await reportsOf(async (onStages) => {
      await model.segment(image, { text: 'cat' }, { onStages })
      await model.segment(image, { text: 'cat' }, { onStages })
    })
    expect(reports[1]!.batch).toBe(reports[0]!.batch + 1)
  })

  it('are told before the promise settles, and not at all of a call that never ran', async () => {
    const order: string[] = []
    await model
      .segment(image, { text: 'cat' }, { onStages: () => order.push('stages') })
      .then(() => order.push('result'))
    expect(order).toEqual(['stages', 'result'])
    const signal = AbortSignal.abort()
    const none = await reportsOf((onStages) => rejection(model.segment(image, { text: 'cat' }, { signal, onStages })))
    expect(none).toEqual([])
  })

  it('reject the call with what the listener throws, and refuse what is no function', async () => {
    const broken = () => {
      throw new Error('no room for this')
    }
    expect(await rejection(model.segment(image, { text: 'cat' }, { onStages: broken }))).toMatchObject({
      message: 'no room for this',
    })
    const wrong = { onStages: 'me' as unknown as () => void }
    expect(await rejection(model.segment(image, { text: 'cat' }, wrong))).toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
    })
    expect((await model.segment(image, { text: 'cat' })).instances).toBeDefined()
  })
})

describe('the sums', () => {
  it('grow by what the calls took', async () => {
    const before = model.stats()
    const reports = await reportsOf((onStages) => model.segment(image, { text: ['cat', 'dog'] }, { onStages }))
    const after = model.stats()
    expect(after.calls).toBe(before.calls + 1)
    for (const { stage, start, end } of reports[0]!.stages)
      expect(after.stages[stage] - before.stages[stage]).toBeCloseTo(end - start, 1)
    expect(after.stages.video).toBe(before.stages.video)
    const [busy, time] = [after.deviceBusy - before.deviceBusy, after.uptime - before.uptime]
    expect(busy).toBeGreaterThan(0)
    expect(busy).toBeLessThanOrEqual(time)
  })

  it('say what encoded images take', async () => {
    const using = model.stats()
    const encoded = await model.encode(image)
    await expect.poll(() => model.stats().images).toBe(using.images + 1)
    const taken = model.stats().imageBytes - using.imageBytes
    expect(taken).toBeGreaterThan(0)
    expect(taken).toBeLessThanOrEqual(model.info.featureBytes)
    encoded.dispose()
  })
})
