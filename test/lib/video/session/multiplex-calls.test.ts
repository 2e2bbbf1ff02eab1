/** Random calls on videos of SAM 3.1: whatever a bounded history forgets, nobody would have looked at; faults leave all as it was. */
import { describe, expect, it } from 'vitest'
import { type FrameResult, Mask, type SessionOptions, type VideoSession } from '../../../../lib/index.js'
import { rejection } from '../../../support/model.js'
import { multiplexModel } from '../../../support/paths.js'
import { randomBitmap, seededRandom } from '../../../support/random.js'
import { TestSource, wanderingFrame } from '../../../support/video.js'
import { useVideoModel } from '../../../support/video-model.js'

const FRAMES = 44
/** Thresholds under which the weights, which are random, find and keep objects, and correct them often. */
const OPEN: SessionOptions = {
  scoreThresholdDetection: 0.2,
  newDetThresh: 0.2,
  detNmsThresh: 0.5,
  maxNumObjects: 5,
  hotstartDelay: 0, // calls are on the frame that was tracked last, or a bounded history has none to offer
  reconditionEveryNthFrame: 5,
}

const views = ({ frameIndex, objects }: FrameResult) => ({
  frameIndex,
  objects: objects.map(({ id, score, box, mask }) => ({ id, score, box, mask: mask.toRle() })),
})

/** A call on frame `frame` that has been tracked to; what it answers. */
async function anyCall(session: VideoSession, random: () => number, frame: number, ids: number[], fresh: number) {
  const id = ids[Math.floor(random() * ids.length)]
  const point = [10 + random() * 140, 10 + random() * 100] as const
  const kind = random()
  if (kind < 0.25 && id !== undefined) return session.removeObject(id)
  if (kind < 0.5 && id !== undefined)
    return views(await session.addPoints({ frameIndex: frame, objectId: id, points: [point], labels: [1] }))
  if (kind < 0.75) return views(await session.addPoints({ frameIndex: frame, objectId: fresh, points: [point] }))
  const mask = Mask.fromBitmap(randomBitmap(random, 160, 120), 160, 120)
  return views(await session.addMask({ frameIndex: frame, objectId: fresh, mask }))
}

describe('random calls on a video of SAM 3.1', () => {
  const video = useVideoModel({ model: multiplexModel })

  async function run(seed: number, options: SessionOptions, stream: boolean): Promise<unknown[]> {
    const random = seededRandom(seed)
    const source = new TestSource((index) => wanderingFrame(index), { stream }, FRAMES)
    const session = await video.start(source, { ...OPEN, ...options })
    const said: unknown[] = [views(await session.addPrompt({ frameIndex: 0, text: 'cat' }))]
    let fresh = 80
    let calls = 0
    for await (const result of session.propagate()) {
      said.push(views(result))
      if (random() > 0.25) continue
      const ids = result.objects.map(({ id }) => id)
      said.push(await anyCall(session, random, result.frameIndex, ids, fresh++))
      calls++
    }
    expect(calls).toBeGreaterThan(5)
    said.push((await session.stats()).objects)
    return said
  }

  it.each([1, 2, 3])('a bounded history answers as a full one, seed %i', async (seed) => {
    const bounded = await run(seed, { history: 'bounded' }, false)
    expect(await run(seed, { history: 'full' }, false)).toEqual(bounded)
  })

  it('live frames answer as those of a file', async () => {
    expect(await run(4, {}, true)).toEqual(await run(4, {}, false))
  })

  it('what is refused changes nothing', async () => {
    const session = await video.start(new TestSource((index) => wanderingFrame(index), {}, 6), OPEN)
    const twin = await video.start(new TestSource((index) => wanderingFrame(index), {}, 6), OPEN)
    for (const one of [session, twin]) await one.addPrompt({ frameIndex: 0, text: 'cat' })
    expect(await rejection(session.removeObject(999))).toMatchObject({ code: 'ERR_UNKNOWN_OBJECT' })
    expect(await rejection(session.addPoints({ frameIndex: 77, objectId: 1, points: [[5, 5]] }))).toMatchObject({
      code: 'ERR_INVALID_FRAME',
    })
    expect(await rejection(session.addPoints({ frameIndex: 0, objectId: 1, points: [] }))).toMatchObject({
      code: 'ERR_EMPTY_PROMPT',
    })
    const followed = async (one: VideoSession) => {
      const all: unknown[] = []
      for await (const result of one.propagate()) all.push(views(result))
      return all
    }
    expect(await followed(session)).toEqual(await followed(twin))
  })

  it.each([
    ['cat', 0, 1_100_000],
    ['cat', 2, 2_000_000],
    [undefined, 1, 800_000],
    [undefined, 3, 1_100_000],
  ])(
    'a full history (%s, %i clicks) stops before its memory limit, and the session goes on',
    async (text, clicks, memoryLimit) => {
      const source = new TestSource((index) => wanderingFrame(index), {}, FRAMES)
      const session = await video.start(source, { ...OPEN, history: 'full', memoryLimit })
      if (text) await session.addPrompt({ frameIndex: 0, text })
      for (let i = 0; i < clicks; i++) {
        await session.addPoints({ frameIndex: 0, objectId: 50 + i, points: [[30 + 25 * i, 60]] })
      }
      const seen: number[] = []
      const error = await rejection(
        (async () => {
          for await (const { frameIndex } of session.propagate()) {
            seen.push(frameIndex)
            expect((await session.stats()).hostBytes).toBeLessThanOrEqual(memoryLimit)
          }
        })(),
      )
      expect(error).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_MEMORY_LIMIT' })
      expect((await session.stats()).hostBytes).toBeLessThanOrEqual(memoryLimit)
      expect(seen.length).toBeGreaterThan(1)
      expect(seen.length).toBeLessThan(FRAMES)
      await session.reset()
      const { objects } = await session.addPoints({ frameIndex: 0, objectId: 90, points: [[80, 60]] })
      expect(objects.map(({ id }) => id)).toContain(90)
    },
  )
})
