/** SAM 3.1 through the public interface: masks, clicks and boxes that correct, and its images. */
import { describe, expect, it } from 'vitest'
import { type FrameResult, Mask, type Prediction, type VideoSession } from '../../../../lib/index.js'
import { noiseImage } from '../../../support/model.js'
import { multiplexModel } from '../../../support/paths.js'
import { wanderingFrame } from '../../../support/video.js'
import { MUCH_IS_FOUND, useVideoModel } from '../../../support/video-model.js'

const views = ({ frameIndex, objects }: FrameResult) => ({
  frameIndex,
  objects: objects.map(({ id, score, mask }) => ({ id, score, mask: mask.toRle() })),
})
const followed = async (session: VideoSession, startFrame?: number) => {
  const all = []
  for await (const result of session.propagate(startFrame === undefined ? {} : { startFrame })) all.push(views(result))
  return all
}
/** A rectangle of the video's size. */
function rectangle(x0: number, y0: number, x1: number, y1: number): Mask {
  const bits = new Uint8Array(160 * 120)
  for (let y = y0; y < y1; y++) bits.fill(1, y * 160 + x0, y * 160 + x1)
  return Mask.fromBitmap(bits, 160, 120)
}

describe('corrections on a video of SAM 3.1', () => {
  const video = useVideoModel({ model: multiplexModel })
  const start = async () => (await video.wander(MUCH_IS_FOUND, {}, 8)).session
  const clickOn = (session: VideoSession, points: [number, number][], labels: (0 | 1)[], more: object = {}) =>
    session.addPoints({ frameIndex: 0, objectId: 1, points, labels, ...more })

  it('a mask is shown as it was given, and the last one counts', async () => {
    const session = await start()
    const given = [rectangle(20, 20, 60, 50), rectangle(70, 40, 120, 100)]
    for (const mask of given) {
      const { objects } = await session.addMask({ frameIndex: 0, objectId: 1, mask })
      expect(objects.map((object) => [object.id, object.mask.toRle()])).toEqual([[1, mask.toRle()]])
    }
    const twin = await start()
    await twin.addMask({ frameIndex: 0, objectId: 1, mask: given[1]! })
    expect(await followed(session)).toEqual(await followed(twin))
  })

  it('of two masks that overlap the later one has the pixels', async () => {
    const session = await start()
    await session.addPrompt({ frameIndex: 0, text: 'cat' })
    await session.addMask({ frameIndex: 0, objectId: 80, mask: rectangle(20, 20, 90, 80) })
    const { objects } = await session.addMask({ frameIndex: 0, objectId: 81, mask: rectangle(60, 40, 120, 100) })
    const owners = new Uint8Array(160 * 120)
    for (const { mask } of objects) for (const [i, bit] of mask.toBitmap().entries()) owners[i]! += bit ? 1 : 0
    expect(Math.max(...owners)).toBe(1)
    expect(objects.map(({ id }) => id)).toEqual(expect.arrayContaining([80, 81]))
  })

  it('clicks one after the other are as clicks at once, negative ones as well', async () => {
    const points: [number, number][] = [
      [80, 60],
      [40, 30],
      [110, 90],
    ]
    const labels = [1, 0, 1] as const
    const once = await start()
    const expected = views(await clickOn(once, points, [...labels]))
    const session = await start()
    let last: FrameResult | undefined
    const seen = new Set<string>()
    for (const [i, point] of points.entries()) {
      last = await clickOn(session, [point], [labels[i]!], { clearOldPoints: false })
      seen.add(JSON.stringify(views(last)))
    }
    expect(views(last!)).toEqual(expected)
    expect(seen.size).toBe(3) // each changes what is shown
    expect(await followed(session)).toEqual(await followed(once))
    // Points that replace the old ones leave nothing of them.
    const replaced = await start()
    await clickOn(replaced, [[20, 20]], [0])
    expect(views(await clickOn(replaced, points, [...labels]))).toEqual(expected)
  })

  it('prompts that are taken back are as never given', async () => {
    const session = await start()
    const twin = await start()
    for (const one of [session, twin]) await one.addPoints({ frameIndex: 0, objectId: 2, points: [[40, 40]] })
    await clickOn(session, [[80, 60]], [1])
    await session.clearPrompts({ frameIndex: 0, objectId: 1 })
    const of2 = (results: Awaited<ReturnType<typeof followed>>) =>
      results.map(({ frameIndex, objects }) => ({ frameIndex, objects: objects.filter(({ id }) => id === 2) }))
    const results = await followed(session)
    expect(of2(results)).toEqual(of2(await followed(twin)))
    for (const { objects } of results.slice(1)) {
      for (const { id, mask } of objects) if (id === 1) expect(Mask.fromRle(mask).area).toBe(0)
    }
  })

  it('a correction on a later frame changes the object from there on, and no other', async () => {
    const session = await start()
    await session.addPrompt({ frameIndex: 0, text: 'cat' })
    const before = await followed(session)
    const id = before[3]!.objects[0]!.id
    await session.addPoints({
      frameIndex: 3,
      objectId: id,
      points: [
        [80, 60],
        [30, 90],
      ],
      labels: [1, 0],
    })
    const after = await followed(session, 3)
    expect(after.map(({ frameIndex }) => frameIndex)).toEqual([3, 4, 5, 6, 7])
    const own = (results: typeof before) => results.map(({ objects }) => objects.filter((object) => object.id === id))
    expect(own(after)).not.toEqual(own(before.slice(3)))
    // The others are as they were, but for pixels that the object has taken or left.
    const ids = (results: typeof before) =>
      results.map(({ objects }) => objects.map((object) => object.id).filter((one) => one !== id))
    expect(ids(after)).toEqual(ids(before.slice(3)))
  })

  it('an exemplar box is asked for with and without a text, positive or negative', async () => {
    const asked = async (prompt: object) => {
      const session = await start()
      return JSON.stringify(views(await session.addPrompt({ frameIndex: 0, ...prompt })).objects)
    }
    const boxes = (label: 0 | 1) => [{ box: [30, 20, 90, 80] as const, label }]
    const answers = await Promise.all([
      asked({ text: 'cat' }),
      asked({ text: 'cat', boxes: boxes(1) }),
      asked({ text: 'cat', boxes: boxes(0) }),
      asked({ boxes: boxes(1) }),
    ])
    expect(new Set(answers).size).toBe(4)
    expect(answers[0]).not.toBe('[]')
  })

  it('its images: texts, boxes and clicks, encoded once or each time', async () => {
    const frame = { ...wanderingFrame(3), channels: 3 as const }
    const { model } = video
    using encoded = await model.encode(frame)
    const question = { text: 'cat', threshold: 0.2 }
    const found = await model.segment(frame, question)
    expect(found.instances.length).toBeGreaterThan(0)
    expect(found.instances.map(({ score }) => score)).toEqual(
      found.instances.map(({ score }) => score).sort((a, b) => b - a),
    )
    const plain = ({ instances }: typeof found) =>
      instances.map(({ score, box, mask }) => ({ score, box, mask: mask.toRle() }))
    expect(plain(await encoded.segment(question))).toEqual(plain(found))
    const strict = await model.segment(frame, { text: 'cat' }) // 0.5, as in SAM 3
    expect(strict.instances.every(({ score }) => score > 0.5)).toBe(true)
    const prompt = { points: [[80, 60]] as const, labels: [1] as const }
    const masks = (answer: Prediction) => JSON.stringify(answer.masks.map((mask) => mask.toRle()))
    const clicked = await encoded.predict(prompt)
    expect(masks(await model.predict(frame, prompt))).toBe(masks(clicked))
    expect(masks(await encoded.predict({ ...prompt, labels: [0] }))).not.toBe(masks(clicked))
    expect(masks(await encoded.predict({ box: [30, 20, 90, 80] }))).not.toBe(masks(clicked))
    expect((await model.segment(noiseImage(64, 48), 'cat')).width).toBe(64)
  })
})
