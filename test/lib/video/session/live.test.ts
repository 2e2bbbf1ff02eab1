/** Frames that are pushed into a session while it follows them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PushSource, type RawImage, type Sam3VideoModel, type VideoSession } from '../../../../lib/index.js'
import { deferred } from '../../../support/deferred.js'
import { rejection } from '../../../support/model.js'
import { buildTestVideoModel, collect, TestSource, wanderingFrame } from '../../../support/video.js'
import { VIDEO_KINDS } from '../../../support/video-model.js'

const image = (index: number): RawImage => ({ ...wanderingFrame(index), channels: 3 })
/** The reference counts at most 16 object pointers, and fewer in a video that is known to be shorter. */
const FRAMES = 18
const size = { width: 160, height: 120 }
const click = (session: VideoSession, frameIndex = 0) =>
  session.addPoints({ frameIndex, objectId: 1, points: [[80, 60]] })

/** Tells when frame 1 is waited for. */
class AskedSource extends PushSource {
  readonly #asked = deferred<void>()
  readonly asked = this.#asked.promise
  override frame(index: number, signal?: AbortSignal) {
    if (index === 1) this.#asked.resolve()
    return super.frame(index, signal)
  }
}

describe.each(VIDEO_KINDS)('a live session, $kind', ({ weights }) => {
  let model: Sam3VideoModel
  beforeAll(async () => {
    model = await buildTestVideoModel(weights)
  })
  afterAll(() => model.dispose())

  it('follows every frame where the source blocks, and gives what a folder of them gives', async () => {
    const session = await model.startSession(new PushSource({ ...size, overflow: 'block' }))
    const pushing = (async () => {
      for (let index = 0; index < FRAMES; index++) expect(await session.push(image(index))).toBe(true)
      session.end()
      session.end()
    })()
    expect((await click(session)).frameIndex).toBe(0)
    const live = await collect(session.propagate())
    await pushing
    const folder = await model.startSession(new TestSource((index) => wanderingFrame(index), {}, FRAMES))
    await click(folder)
    const same = await collect(folder.propagate())
    expect(live.map(({ frameIndex }) => frameIndex)).toEqual(same.map(({ frameIndex }) => frameIndex))
    expect(live.map(({ objects }) => objects[0]!.mask.toRle())).toEqual(
      same.map(({ objects }) => objects[0]!.mask.toRle()),
    )
    for (const [index, { timestamp }] of live.entries())
      expect(timestamp).toBeGreaterThanOrEqual(live[index - 1]?.timestamp ?? 0)
    expect(await rejection(session.push(image(0)))).toMatchObject({ code: 'ERR_STREAM_CLOSED' })
    await Promise.all([session.close(), folder.close()])
  })

  it('gives each result at once, and drops the oldest frames when it falls behind', async () => {
    const source = new PushSource({ ...size, maxBuffered: 2 })
    const session = await model.startSession(source)
    await session.push(image(0))
    await session.addPrompt({ frameIndex: 0, text: 'cat' }) // no delay, although there is a text
    const results = session.propagate()
    expect((await results.next()).value!.frameIndex).toBe(0)
    const waiting = results.next()
    await session.push(image(1))
    expect((await waiting).value!.frameIndex).toBe(1)
    for (let index = 2; index < 12; index++) await session.push(image(index))
    session.end()
    const rest = await collect(results)
    expect(rest.length).toBeLessThanOrEqual(4)
    expect(rest.at(-1)!.frameIndex).toBe(11)
    expect(source.stats.dropped).toBe(10 - rest.length)
    await session.close()
  })

  it('a prompt on a frame that was dropped holds for the next one', async () => {
    const session = await model.startSession(new PushSource({ ...size, maxBuffered: 1 }))
    for (let index = 0; index < 5; index++) await session.push(image(index))
    expect((await click(session)).frameIndex).toBe(4)
    session.end()
    expect((await collect(session.propagate())).map(({ frameIndex }) => frameIndex)).toEqual([4])
    await session.close()
  })

  it('corrections hold from the next frame on', async () => {
    const session = await model.startSession(new PushSource({ ...size, overflow: 'block' }))
    const ids: number[][] = []
    void (async () => {
      for (let index = 0; index < 8; index++) await session.push(image(index))
      session.end()
    })()
    await click(session)
    for await (const { frameIndex, objects } of session.propagate()) {
      ids.push(objects.map(({ id }) => id))
      if (frameIndex === 3) await session.addPoints({ frameIndex: 3, objectId: 2, points: [[20, 20]] })
    }
    expect(ids).toEqual([[1], [1], [1], [1], [1, 2], [1, 2], [1, 2], [1, 2]])
    await session.close()
  })

  it('a frame that cannot be read or has another size fails its push, not the propagation', async () => {
    const session = await model.startSession(new PushSource({ ...size, overflow: 'block' }))
    await session.push(image(0))
    await click(session)
    const results = session.propagate()
    await results.next()
    expect(await rejection(session.push(new Uint8Array([1, 2, 3])))).toMatchObject({ code: 'ERR_INVALID_IMAGE' })
    const other = { width: 8, height: 8, channels: 3, data: new Uint8Array(192) } as const
    expect(await rejection(session.push(other))).toMatchObject({ code: 'ERR_FRAME_SIZE' })
    await session.push(image(3))
    expect((await results.next()).value!.frameIndex).toBe(3)
    await session.close()
  })

  it('close() ends a propagation that waits for a frame, and a push that waits for room', async () => {
    const source = new AskedSource({ ...size, maxBuffered: 1, overflow: 'block' })
    const session = await model.startSession(source)
    await session.push(image(0))
    await click(session)
    const results = session.propagate()
    await results.next()
    const waiting = rejection(results.next())
    await source.asked
    await session.close()
    expect(await waiting).toMatchObject({ code: 'ERR_SESSION_CLOSED' })
    expect(await rejection(session.push(image(1)))).toMatchObject({ code: 'ERR_SESSION_CLOSED' })
  })

  it('is only one that was started with a live source', async () => {
    const session = await model.startSession(new TestSource((index) => wanderingFrame(index)))
    expect(await rejection(session.push(image(0)))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
    expect(() => session.end()).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }))
    await session.close()
  })
})
