/** What the demo model follows: a dog, and a ball that rolls across it, leaves the picture and returns. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FrameResult, PushSource, type Sam3VideoModel, type TrackedObject } from '../../../lib/index.js'
import { buildDemoModel, clip, inside, iou, mean } from '../../support/demo.js'

let model: Sam3VideoModel
beforeAll(async () => {
  model = await buildDemoModel()
})
afterAll(() => model.dispose())

const FRAMES = clip.objects[0]!.masks.length
const frameFile = (index: number) => `${clip.folder}/${String(index).padStart(2, '0')}.jpg`

/** For each object of the clip the id that it has on each frame (undefined: none), and how well the masks overlap. */
function follow(frames: readonly FrameResult[], wanted: (object: TrackedObject) => boolean = () => true) {
  return clip.objects.map(({ shows, masks }) => {
    const ids: (number | undefined)[] = []
    const overlaps: number[] = []
    for (const { frameIndex, objects } of frames) {
      const mask = masks[frameIndex]
      if (!mask) continue
      const found = objects.filter(wanted).map((object) => ({ id: object.id, iou: iou(object.mask, mask) }))
      const best = found.toSorted((a, b) => b.iou - a.iou)[0]
      ids.push(best && best.iou > 0.5 ? best.id : undefined)
      overlaps.push(best?.iou ?? 0)
    }
    return { shows, ids, overlap: mean(overlaps), all: new Set(ids.filter((id) => id !== undefined)) }
  })
}

type Box = readonly [number, number, number, number]

/** Whether two boxes xyxy share a pixel. */
function overlap([ax0, ay0, ax1, ay1]: Box, [bx0, by0, bx1, by1]: Box): boolean {
  return ax0 < bx1 && bx0 < ax1 && ay0 < by1 && by0 < ay1
}

async function collect(frames: AsyncIterable<FrameResult>): Promise<FrameResult[]> {
  const results: FrameResult[] = []
  for await (const frame of frames) results.push(frame)
  return results
}

describe('words through a clip', () => {
  let frames: FrameResult[]
  beforeAll(async () => {
    const session = await model.startSession(clip.folder)
    for (const text of ['dog', 'soccer ball']) await session.addPrompt({ frameIndex: 0, text })
    frames = await collect(session.propagate())
    await session.close()
  })

  it('are followed on every frame, each object under one id', () => {
    const [dog, ball] = follow(frames)
    for (const { all, ids, overlap } of [dog!, ball!]) {
      expect(all.size).toBe(1)
      expect(ids.filter((id) => id === undefined).length).toBeLessThanOrEqual(ids.length / 10)
      expect(overlap).toBeGreaterThan(0.7)
    }
    expect([...dog!.all]).not.toEqual([...ball!.all])
    expect(new Set(frames.flatMap(({ objects }) => objects.map(({ id }) => id))).size).toBe(2)
  })

  it('keep both ids where the ball rolls across the dog', () => {
    const [dog, ball] = clip.objects
    const touching = frames.map(
      ({ frameIndex: t }) => ball!.masks[t] && overlap(dog!.masks[t]!.box, ball!.masks[t]!.box),
    )
    const [first, last] = [touching.indexOf(true), touching.lastIndexOf(true)]
    expect(first).toBeGreaterThan(0)
    expect(last - first).toBeGreaterThanOrEqual(5)
    for (const { ids } of follow(frames)) {
      expect(ids[first - 1]).toBeDefined()
      expect(ids[last + 1]).toBe(ids[first - 1])
    }
  })

  it('find the ball again under its id when it returns', () => {
    const [, ball] = follow(frames)
    expect(ball!.ids[0]).toBeDefined()
    expect(ball!.ids.at(-1)).toBe(ball!.ids[0])
  })
})

it('a clicked object is followed', async () => {
  const session = await model.startSession(clip.folder)
  const { masks } = clip.objects[0]!
  await session.addPoints({ frameIndex: 0, objectId: 7, points: [inside(masks[0]!)] })
  const frames = await collect(session.propagate())
  await session.close()
  const overlaps = frames.map(({ frameIndex, objects }) => iou(objects[0]!.mask, masks[frameIndex]!))
  expect(mean(overlaps)).toBeGreaterThan(0.6)
  expect(frames.every(({ objects }) => objects.length === 1 && objects[0]!.id === 7)).toBe(true)
})

it('live frames give what the clip gives', async () => {
  const source = new PushSource({ overflow: 'block' })
  const pushing = (async () => {
    for (let index = 0; index < FRAMES; index++) await source.push(frameFile(index))
    source.end()
  })()
  const session = await model.startSession(source)
  for (const text of ['dog', 'soccer ball']) await session.addPrompt({ frameIndex: 0, text })
  const frames = await collect(session.propagate())
  await Promise.all([pushing, session.close()])
  expect(frames).toHaveLength(FRAMES)
  for (const { all, overlap } of follow(frames)) {
    expect(all.size).toBe(1)
    expect(overlap).toBeGreaterThan(0.7)
  }
})
