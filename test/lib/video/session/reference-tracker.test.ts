/**
 * Clicks, boxes and masks in less usual orders and with other settings, against what the reference's tracker computed in
 * fp32 on the golden clip. Of each object a score and some cells of the network's mask grid are recorded.
 */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type {
  Box,
  FrameResult,
  Point,
  PropagationDirection,
  Sam3VideoModel,
  SessionOptions,
  VideoSession,
} from '../../../../lib/index.js'
import { largestDifference } from '../../../support/compare.js'
import { repositoryRoot } from '../../../support/paths.js'
import { buildTestVideoModel, collect, goldenClip, type Pixels, TestSource } from '../../../support/video.js'
import { LOGIT, objectsOf } from '../../../support/video-golden.js'

interface Result {
  frame: number
  ids: number[]
  logits: number[]
  /** Null where an object has a mask that was given, whose logits the reference does not keep. */
  cells: (number[] | null)[]
}
type Step = { results?: Result[] } & (
  | {
      op: 'points'
      frameIndex: number
      objectId: number
      points?: Point[]
      labels?: (0 | 1)[]
      box?: Box
      clearOldPoints?: boolean
      usePrevMemFrame?: boolean
    }
  | { op: 'mask'; frameIndex: number; objectId: number; rect: [number, number, number, number] }
  | { op: 'clear'; frameIndex: number; objectId: number }
  | { op: 'remove'; objectId: number }
  | { op: 'propagate'; direction: PropagationDirection; startFrame?: number; maxFrames?: number }
)
interface Recording {
  cells: number[]
  runs: { name: string; options: SessionOptions; steps: Step[] }[]
}

const recording: Recording = JSON.parse(readFileSync(`${repositoryRoot}/test/fixtures/tracker-sequences.json`, 'utf8'))
const WIDTH = 160
const HEIGHT = 120

function rectangle([x0, y0, x1, y1]: [number, number, number, number]): Uint8Array {
  const mask = new Uint8Array(WIDTH * HEIGHT)
  for (let y = y0; y < y1; y++) mask.fill(1, y * WIDTH + x0, y * WIDTH + x1)
  return mask
}

function compare(result: FrameResult, { frame, ids, logits, cells }: Result): void {
  expect(result.frameIndex).toBe(frame)
  for (const [i, { id, objectScore, mask }] of objectsOf(result, ids).entries()) {
    expect(Math.abs(objectScore - logits[i]!), `score of object ${id} on frame ${frame}`).toBeLessThan(LOGIT)
    const theirs = cells[i]
    if (!theirs) continue
    const ours = recording.cells.map((cell) => mask.logits!.data[cell]!)
    expect(largestDifference(ours, theirs), `logits of object ${id} on frame ${frame}`).toBeLessThan(LOGIT)
  }
}

describe('the tracker against sequences of the reference', () => {
  let model: Sam3VideoModel
  let clip: Pixels[]
  beforeAll(async () => {
    model = await buildTestVideoModel()
    clip = await goldenClip()
  })
  afterAll(() => model.dispose())

  async function take(session: VideoSession, step: Step): Promise<FrameResult[]> {
    switch (step.op) {
      case 'points': {
        const { op: _, results: __, ...points } = step
        return [await session.addPoints({ ...points, normalized: true })]
      }
      case 'mask': {
        const { frameIndex, objectId, rect } = step
        return [await session.addMask({ frameIndex, objectId, mask: rectangle(rect) })]
      }
      case 'clear':
        return [await session.clearPrompts({ frameIndex: step.frameIndex, objectId: step.objectId })]
      case 'remove':
        await session.removeObject(step.objectId)
        return []
      case 'propagate': {
        const { op: _, results: __, ...options } = step
        return collect(session.propagate(options))
      }
    }
  }

  it.each(recording.runs)('$name', async ({ options, steps }) => {
    const session = await model.startSession(new TestSource(clip), {
      history: 'full',
      resample: 'bicubic',
      logits: true,
      ...options,
    })
    for (const step of steps) {
      const results = await take(session, step)
      expect(results).toHaveLength(step.results?.length ?? 0)
      for (const [i, result] of results.entries()) compare(result, step.results![i]!)
    }
    await session.close()
  })
})
