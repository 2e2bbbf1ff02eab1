/** The pool over real models: two of them on the CPU, as two GPUs would be. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { buildSam3ImageModel, type RawImage, type Sam3ImageModel, type Segmentation } from '../../../lib/index.js'
import { Metrics } from '../../../server/observe/metrics.js'
import { Pool } from '../../../server/pool/pool.js'
import { noiseImage, rejection } from '../../support/model.js'

const signal = () => new AbortController().signal
let pool: Pool
let alone: Sam3ImageModel
const lost: string[] = []

const build = (threads: number) => buildSam3ImageModel({ model: 'demo', device: 'cpu', threads, maxBatch: 4 })

beforeAll(async () => {
  alone = await build(1)
  pool = new Pool({ maxBatchSize: 4, maxQueueDelayMs: 0, maxQueueSize: 100 }, new Metrics())
  pool.onLost = ({ name }) => lost.push(name)
  pool.add(await build(1))
  pool.add(await build(1))
})
afterAll(async () => {
  await pool.dispose()
  await alone.dispose()
})

const images = Array.from({ length: 24 }, (_, index) => noiseImage(64 + index, 48, index))
const scores = ({ instances }: Segmentation) => instances.map(({ score, mask }) => [score.toFixed(3), mask.area])
/** All candidates count, so that noise has answers to compare. */
const prompt = { text: 'cat', threshold: 0, maxInstances: 2 }
const ask = (image: RawImage, client: string) =>
  pool.run({ client, share: 1, signal: signal() }, (model) => model.segment(image, prompt))

it('shares work of all clients between the models, in batches, with the answers of one model alone', async () => {
  const answers = await Promise.all(images.map((image, index) => ask(image, `client ${index % 3}`)))
  const expected = await Promise.all(images.map((image) => alone.segment(image, prompt)))
  expect(answers.map(scores)).toEqual(expected.map(scores))
  const stats = pool.devices.map(({ model }) => model.stats())
  expect(stats.reduce((sum, { calls }) => sum + calls, 0)).toBe(images.length)
  for (const { calls, batches } of stats) {
    expect(calls).toBeGreaterThan(images.length / 4)
    expect(batches).toBeLessThan(calls)
  }
})

it('goes on with the one that is left, and loses no request', async () => {
  const [first, second] = pool.devices
  const kept = await pool.run({ client: 'a', share: 1, signal: signal() }, async (model) => ({
    model,
    image: await model.encode(images[0]!),
  }))
  expect(kept.model).toBe(first!.model)
  const answers = images.map((image) => ask(image, 'a'))
  await first!.model.dispose() // as if it had gone while it worked
  expect((await Promise.all(answers)).map(({ instances }) => instances.length)).toEqual(images.map(() => 2))
  expect([lost, pool.state]).toEqual([['cpu'], 'ready'])
  expect([first!.load, second!.load]).toEqual([0, 0])
  const click = pool.run({ client: 'a', model: kept.model, signal: signal() }, () =>
    kept.image.predict({ points: [[5, 5]] }),
  )
  expect(await rejection(click)).toMatchObject({ code: 'ERR_NOT_FOUND' })
})
