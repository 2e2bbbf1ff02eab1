/**
 * Memory of sessions: constant however long the video is, as much as stated with a full history, all of it given back.
 * SAM3_LONG_VIDEO=1 follows 2,000 frames instead of 120 and prints the curve.
 */
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FrameResult, Sam3VideoModel, SessionOptions, VideoSession } from '../../../../lib/index.js'
import { collectUntil } from '../../../support/gc.js'
import { buildTestVideoModel, collect, goldenClip, TestSource, wanderingFrame } from '../../../support/video.js'
import { VIDEO_KINDS } from '../../../support/video-model.js'

const isLong = process.env.SAM3_LONG_VIDEO === '1'
const [EARLY, LATE] = isLong ? [200, 2000] : [40, 120]
/** Result after which an object is corrected, and the frames on which: that one, one ahead. */
const CORRECTIONS: Record<number, number[]> = { 3: [3, 12], 15: [15] }
const MIB = 2 ** 20
/** What the allocators may take meanwhile: about 2 MiB, and less than a leak of 130 kB a frame. */
const SLACK = (isLong ? 24 : 10) * MIB

/** Detection score under which the weights of a kind, which are random, find some objects. */
const THRESHOLDS: Record<string, number> = { 'SAM 3': 0.6, 'SAM 3.1': 0.2 }

describe.each(VIDEO_KINDS)('$kind', ({ kind, weights }) => {
  let model: Sam3VideoModel
  beforeAll(async () => {
    model = await buildTestVideoModel(weights)
  })
  afterAll(() => model.dispose())

  /** Objects of a text and a clicked one. */
  async function start(length: number, options: SessionOptions): Promise<VideoSession> {
    const threshold = THRESHOLDS[kind]!
    const session = await model.startSession(new TestSource((index) => wanderingFrame(index), {}, length), {
      scoreThresholdDetection: threshold,
      newDetThresh: threshold,
      maxNumObjects: 2,
      ...options,
    })
    await session.addPrompt({ frameIndex: 0, text: 'cat' })
    await session.addPoints({ frameIndex: 0, objectId: 90, points: [[80, 60]] })
    return session
  }

  /** What is in use: where a session ends, the allocator gives back to the system what is free, which else comes and goes. */
  async function residentBytes(): Promise<number> {
    await collectUntil(() => true)
    const other = await model.startSession(new TestSource((index) => wanderingFrame(index), {}, 1))
    await other.close()
    return process.memoryUsage.rss()
  }

  describe('a bounded history', () => {
    it(`takes as much memory after ${LATE} frames as after ${EARLY}`, { timeout: 1_800_000 }, async () => {
      const session = await start(LATE, { history: 'bounded' })
      const curve: { frame: number; engine: number; resident: number; objects: number }[] = []
      for await (const { frameIndex } of session.propagate()) {
        if ((frameIndex + 1) % (EARLY / 4) !== 0) continue
        const { hostBytes, deviceBytes, objects } = await session.stats()
        const resident = await residentBytes()
        curve.push({ frame: frameIndex + 1, engine: hostBytes + deviceBytes, resident, objects })
      }
      if (isLong) console.table(curve.map((row) => ({ ...row, resident: `${(row.resident / MIB).toFixed(1)} MiB` })))
      const perObject = ({ engine, objects }: (typeof curve)[number]) => engine / (objects + 1)
      const early = curve.filter(({ frame }) => frame <= EARLY && frame > EARLY / 2)
      const late = curve.filter(({ frame }) => frame > LATE - EARLY)
      expect(late.length).toBeGreaterThan(0)
      const most = (rows: typeof curve, value: (row: (typeof curve)[number]) => number) => Math.max(...rows.map(value))
      expect(most(late, perObject)).toBeLessThanOrEqual(1.2 * most(early, perObject))
      expect(most(late, ({ resident }) => resident)).toBeLessThan(most(early, ({ resident }) => resident) + SLACK)
      await session.close()
    })

    const views = ({ frameIndex, objects }: FrameResult) => ({
      frameIndex,
      objects: objects.map(({ id, score, trackerScore, box, mask }) => ({
        ...{ id, score, trackerScore, box },
        ...{ mask: mask.toRle(), logits: mask.logits },
      })),
    })

    it('gives the same results as a full one', async () => {
      const clip = await goldenClip()
      const prompts = async (session: VideoSession) => {
        await session.addPrompt({ frameIndex: 0, text: 'cat' })
        await session.addPoints({ frameIndex: 0, objectId: 80, points: [[24, 42]] })
        await session.addPoints({ frameIndex: 5, objectId: 81, box: [100, 60, 150, 100] })
      }
      const thresholds = { scoreThresholdDetection: 0.78, newDetThresh: 0.81, detNmsThresh: 0.6, maxNumObjects: 6 }
      const lowered = { ...thresholds, hotstartDelay: 0 }
      const results = await Promise.all(
        (['bounded', 'full'] as const).map(async (history) => {
          const session = await model.startSession(new TestSource(clip), { history, logits: true, ...lowered })
          await prompts(session)
          const list: unknown[] = []
          for await (const result of session.propagate()) {
            list.push(views(result))
            for (const frameIndex of CORRECTIONS[result.frameIndex] ?? []) {
              list.push(views(await session.addPoints({ frameIndex, objectId: 80, points: [[30, 40]] })))
            }
          }
          await session.close()
          return list
        }),
      )
      expect(results[0]).toHaveLength(27)
      expect(results[0]).toEqual(results[1])
    })

    it('and for many more frames than the network looks back at', async () => {
      const run = async (history: 'bounded' | 'full') => {
        const session = await start(36, { history, logits: true })
        const results = (await collect(session.propagate())).map(views)
        await session.close()
        return results
      }
      expect(await run('bounded')).toEqual(await run('full'))
    })
  })

  describe('a full history', () => {
    it('grows by a constant number of bytes per frame', async () => {
      const session = await model.startSession(new TestSource((index) => wanderingFrame(index), {}, 45), {
        history: 'full',
      })
      await session.addPoints({ frameIndex: 0, objectId: 1, points: [[80, 60]] })
      const bytes: number[] = []
      for await (const _ of session.propagate()) bytes.push((await session.stats()).hostBytes)
      const growth = bytes.slice(31).map((value, index) => value - bytes[index + 30]!)
      // The resized frame, one memory of 64 channels in float32, and some masks.
      expect(Math.min(...growth)).toBeGreaterThan(168 * 168 * 3)
      expect(Math.max(...growth)).toBeLessThan(2 * Math.min(...growth))
      await session.close()
    })
  })

  describe('close', () => {
    it('gives everything back', { timeout: 300_000 }, async () => {
      const use = async () => {
        const session = await start(20, { history: 'full' })
        await collect(session.propagate())
        const { hostBytes, deviceBytes } = await session.stats()
        const during = process.memoryUsage.rss()
        await session.close()
        await setTimeout(20)
        return { held: hostBytes + deviceBytes, during, after: await residentBytes() }
      }
      await use() // the allocator and the network warm up
      const rounds = [await use(), await use(), await use()]
      for (const { held } of rounds) expect(held).toBeGreaterThan(3 * MIB)
      const [first, , last] = rounds
      expect(last!.after).toBeLessThan(first!.after + 4 * MIB)
      expect(last!.after).toBeLessThan(last!.during - last!.held / 2)
      expect(model.stats().sessions).toBe(0)
    })
  })
})
