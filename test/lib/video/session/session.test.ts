/** What a session promises besides its numbers: order, concurrency, ends of every kind. */
import { describe, expect, it, vi } from 'vitest'
import type { SessionOptions, VideoSession } from '../../../../lib/index.js'
import { collectUntil } from '../../../support/gc.js'
import { noiseImage, rejection } from '../../../support/model.js'
import {
  buildTestVideoModel,
  collect,
  TestSource,
  type TestSourceOptions,
  wanderingFrame,
} from '../../../support/video.js'
import { useVideoModel, VIDEO_KINDS } from '../../../support/video-model.js'

const indices = (results: { frameIndex: number }[]) => results.map(({ frameIndex }) => frameIndex)
const upTo = (length: number, from = 0) => Array.from({ length }, (_, index) => from + index)

/** A source whose frame 5 comes when it is told to. */
class GatedSource extends TestSource {
  open = () => {}
  readonly #gate = new Promise<void>((resolve) => {
    this.open = resolve
  })

  override async frame(index: number, signal?: AbortSignal) {
    const frame = await super.frame(index, signal)
    if (index === 5) await this.#gate
    return frame
  }
}

describe.each(VIDEO_KINDS)('$kind', ({ weights }) => {
  const video = useVideoModel(weights)
  /** A session with one clicked object. */
  async function clicked(options: SessionOptions = {}, source: TestSourceOptions = {}, length = 12) {
    const { session, frames } = await video.wander(options, source, length)
    await session.addPoints({ frameIndex: 0, objectId: 1, points: [[80, 60]] })
    return { session, frames }
  }

  describe('propagate', () => {
    it('gives every frame once, with its time, its size and the objects by id', async () => {
      const { session } = await clicked()
      await session.addPoints({ frameIndex: 0, objectId: 0, box: [10, 10, 60, 50] })
      const results = await collect(session.propagate())
      expect(indices(results)).toEqual(upTo(12))
      for (const { frameIndex, timestamp, width, height, objects } of results) {
        expect({ timestamp, width, height }).toEqual({ timestamp: frameIndex / 25, width: 160, height: 120 })
        expect(objects.map(({ id }) => id)).toEqual([0, 1])
        for (const { prompt, promptIndex, mask, trackerScore, objectScore } of objects) {
          expect([prompt, promptIndex]).toEqual([undefined, undefined])
          expect([mask.width, mask.height, mask.logits]).toEqual([160, 120, undefined])
          expect(trackerScore).toBeCloseTo(1 / (1 + Math.exp(-objectScore)), 5)
        }
      }
    })

    it('begins at a frame and stops after as many as asked', async () => {
      const { session } = await clicked({ history: 'full' })
      expect(indices(await collect(session.propagate({ maxFrames: 5 })))).toEqual(upTo(5))
      expect(indices(await collect(session.propagate({ startFrame: 3, maxFrames: 1 })))).toEqual([3])
      expect(indices(await collect(session.propagate({ direction: 'backward', startFrame: 4, maxFrames: 3 })))).toEqual(
        [4, 3, 2],
      )
      expect(indices(await collect(session.propagate({ direction: 'both', startFrame: 10, maxFrames: 4 })))).toEqual([
        10, 11, 10, 9, 8, 7,
      ])
    })

    it('works only while a result is asked for, and reads one frame ahead', async () => {
      const { session, frames } = await clicked()
      const results = session.propagate()
      expect(frames.asked).toEqual([0])
      await results.next()
      // A step that nobody asked for would be in the engine's queue before these.
      for (let turn = 0; turn < 5; turn++) expect((await session.stats()).frames).toBe(1)
      expect(Math.max(...frames.asked)).toBe(1)
      await results.return()
    })

    it('several next() at once come in order', async () => {
      const { session } = await clicked()
      const results = session.propagate()
      const [a, b, c] = await Promise.all([results.next(), results.next(), results.next()])
      expect([a, b, c].map(({ value }) => value!.frameIndex)).toEqual([0, 1, 2])
      await results.return()
    })

    it('of a stream ends where the frames end', async () => {
      const { session, frames } = await clicked({}, { stream: true })
      expect(session.frameCount).toBeUndefined()
      expect(indices(await collect(session.propagate()))).toEqual(upTo(12))
      expect(frames.asked).toEqual(upTo(13)) // each frame once, the prompted one too
    })

    it('goes on where a loop was left', async () => {
      const { session } = await clicked()
      for await (const { frameIndex } of session.propagate()) if (frameIndex === 4) break
      for await (const { frameIndex } of session.propagate()) if (frameIndex === 7) break
      expect(indices(await collect(session.propagate({ startFrame: 9 })))).toEqual([9, 10, 11])
      expect(await collect(session.propagate())).toEqual([])
      const again = rejection(collect(session.propagate({ startFrame: 9 })))
      expect(await again).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_HISTORY_REQUIRED' })
    })

    it('takes prompts between two steps, which hold from the next one on', async () => {
      const { session } = await clicked()
      const ids: number[][] = []
      for await (const { frameIndex, objects } of session.propagate()) {
        ids.push(objects.map(({ id }) => id))
        if (frameIndex === 2) await session.addPoints({ frameIndex: 2, objectId: 7, points: [[30, 30]] })
        if (frameIndex === 5) await session.removeObject(1)
      }
      expect(ids.slice(0, 3)).toEqual([[1], [1], [1]])
      expect(ids.slice(3, 6)).toEqual([
        [1, 7],
        [1, 7],
        [1, 7],
      ])
      expect(ids.slice(6)).toEqual(Array.from({ length: 6 }, () => [7]))
    })

    it('follows a mask that was drawn beside the objects of a text', async () => {
      const thresholds = { scoreThresholdDetection: 0.3, newDetThresh: 0.3, maxNumObjects: 2, hotstartDelay: 0 }
      const drawn = async (text: boolean) => {
        const { session } = await video.wander({ ...thresholds, detNmsThresh: 0.5 }, {}, 4)
        if (text) await session.addPrompt({ frameIndex: 0, text: 'cat' })
        const mask = new Uint8Array(160 * 120)
        for (let y = 20; y < 80; y++) mask.fill(1, y * 160 + 20, y * 160 + 90)
        await session.addMask({ frameIndex: 0, objectId: 80, mask })
        const results = await collect(session.propagate())
        return results.map(({ objects }) => objects.find(({ id }) => id === 80)?.objectScore)
      }
      const alone = await drawn(false)
      expect(alone.every((score) => score !== undefined)).toBe(true)
      const beside = await drawn(true)
      expect(beside[0]).toBe(10) // it is what was drawn
      expect(Math.abs(beside[1]! - alone[1]!)).toBeLessThan(0.1) // nearly the same memory: some pixels are others'
    })

    it('is refused while one is under way, and that one goes on', async () => {
      const { session } = await clicked()
      const first = session.propagate()
      await first.next()
      const error = await rejection(session.propagate().next())
      expect(error).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_SESSION_BUSY' })
      expect(indices(await collect(first))).toEqual(upTo(11, 1))
      expect(await session.propagate().next()).toEqual({ done: true, value: undefined })
    })

    it('needs a prompt, and full history to go backward', async () => {
      const session = await video.start(new TestSource((index) => wanderingFrame(index)))
      expect(await rejection(collect(session.propagate()))).toMatchObject({
        name: 'Sam3InputError',
        code: 'ERR_NO_PROMPT',
      })
      for (const direction of ['backward', 'both'] as const) {
        const error = await rejection(collect(session.propagate({ direction })))
        expect(error).toMatchObject({ code: 'ERR_HISTORY_REQUIRED', fix: expect.stringContaining("history: 'full'") })
      }
    })

    it.each([
      [{ direction: 'sideways' }, 'ERR_INVALID_ARGUMENT'],
      [{ startFrame: 12 }, 'ERR_INVALID_FRAME'],
      [{ startFrame: -1 }, 'ERR_INVALID_FRAME'],
      [{ maxFrames: 0 }, 'ERR_INVALID_ARGUMENT'],
      [{ maxFrame: 3 }, 'ERR_INVALID_ARGUMENT'],
      [{ signal: 'now' }, 'ERR_INVALID_ARGUMENT'],
    ])('refuses %j', async (options, code) => {
      const { session } = await clicked()
      expect(await rejection(collect(session.propagate(options as object)))).toMatchObject({ code })
      expect(indices(await collect(session.propagate({ maxFrames: 2 })))).toEqual([0, 1])
    })
  })

  describe('calls at once', () => {
    it.each<[string, (session: VideoSession) => Promise<{ frameIndex: number }>]>([
      ['clicks', (session) => session.addPoints({ frameIndex: 3, objectId: 3, points: [[30, 30]] })],
      ['a correction', (session) => session.addPoints({ frameIndex: 3, objectId: 1, points: [[30, 30]], labels: [0] })],
      ['a mask', (session) => session.addMask({ frameIndex: 3, objectId: 3, mask: new Uint8Array(160 * 120).fill(1) })],
      ['a text', (session) => session.addPrompt({ frameIndex: 3, text: 'cat' })],
      ['a box', (session) => session.addPrompt({ frameIndex: 3, boxes: [[10, 10, 60, 50]] })],
      ['prompts taken back', (session) => session.clearPrompts({ frameIndex: 3, objectId: 1 })],
    ])('%s on the frame that is held, and a click on another one, which takes its place', async (_, prompt) => {
      const frames = new GatedSource((index) => wanderingFrame(index), {}, 12)
      const session = await video.start(frames)
      await session.addPoints({ frameIndex: 0, objectId: 1, points: [[80, 60]] })
      for await (const { frameIndex } of session.propagate()) if (frameIndex === 3) break
      const other = session.addPoints({ frameIndex: 5, objectId: 2, points: [[40, 40]] })
      await vi.waitFor(() => expect(frames.asked).toContain(5))
      const asked = prompt(session)
      frames.open() // so that the click on frame 5 comes right behind the first look at frame 3
      expect((await other).frameIndex).toBe(5)
      expect((await asked).frameIndex).toBe(3)
    })

    it('propagate() behind reset() finds nothing to follow', async () => {
      const { session } = await clicked()
      const resetting = session.reset()
      expect(await rejection(session.propagate().next())).toMatchObject({ code: 'ERR_NO_PROMPT' })
      await resetting
    })
  })

  describe('the end of a propagation', () => {
    it('return() frees the session for another one, throw() as well', async () => {
      const { session } = await clicked({ history: 'full' })
      const first = session.propagate()
      await first.next()
      expect(await first.return()).toEqual({ done: true, value: undefined })
      expect(await first.next()).toEqual({ done: true, value: undefined })
      const second = session.propagate()
      await second.next()
      expect((await rejection(second.throw(new Error('mine')))).message).toBe('mine')
      expect(await collect(session.propagate({ startFrame: 0 }))).toHaveLength(12)
    })

    it('return() does not wait for a frame that never comes', async () => {
      const { session } = await clicked({}, { stream: true, faults: { 3: 'hang' } })
      const results = session.propagate()
      for (let index = 0; index < 3; index++) await results.next()
      const hanging = results.next()
      await results.return()
      expect(await hanging).toEqual({ done: true, value: undefined })
    })

    it('a signal ends it, with its reason, while a frame is awaited and while the network runs', async () => {
      const sources: TestSourceOptions[] = [{ faults: { 3: 'hang' } }, {}]
      for (const source of sources) {
        const { session } = await clicked({}, source)
        const controller = new AbortController()
        const results = session.propagate({ signal: controller.signal })
        for (let index = 0; index < 3; index++) await results.next()
        const next = rejection(results.next())
        controller.abort('enough')
        expect(await next).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' })
        expect(await results.next()).toEqual({ done: true, value: undefined })
        expect((await session.addPoints({ frameIndex: 2, objectId: 1, points: [[70, 60]] })).frameIndex).toBe(2)
      }
    })

    it('reset() ends it without an error', async () => {
      const { session } = await clicked()
      const results = session.propagate()
      await results.next()
      const running = results.next()
      await session.reset()
      expect(await running).toEqual({ done: true, value: undefined })
      expect(await results.next()).toEqual({ done: true, value: undefined })
      expect((await session.stats()).objects).toBe(0)
      expect(await rejection(collect(session.propagate()))).toMatchObject({ code: 'ERR_NO_PROMPT' })
      await session.addPoints({ frameIndex: 0, objectId: 3, points: [[20, 20]] })
      expect((await collect(session.propagate())).at(-1)!.objects.map(({ id }) => id)).toEqual([3])
    })

    it.each(['while it runs', 'between two results'])('close() ends it with ERR_SESSION_CLOSED %s', async (when) => {
      const { session, frames } = await clicked()
      const results = session.propagate()
      await results.next()
      const running = when === 'while it runs' ? rejection(results.next()) : undefined
      const closing = session.close()
      const error = await (running ?? rejection(results.next()))
      expect(error).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_SESSION_CLOSED' })
      expect(await results.next()).toEqual({ done: true, value: undefined })
      await closing
      expect(frames.closed).toBe(true)
      expect(video.model.stats().sessions).toBe(0)
    })

    it('an iterator that nobody holds any more ends by itself', async () => {
      const { session } = await clicked({ history: 'full' })
      await session.propagate().next()
      const isFree = () =>
        collect(session.propagate({ startFrame: 0 })).then(
          () => true,
          () => false,
        )
      expect(await isFree()).toBe(false)
      expect(await collectUntil(isFree)).toBe(true)
    })
  })

  describe('close', () => {
    it('refuses every later call, and may be called again', async () => {
      const { session } = await clicked()
      await Promise.all([session.close(), session.close()])
      await session[Symbol.asyncDispose]()
      const prompt = { frameIndex: 0, objectId: 1, points: [[1, 1]] as const }
      for (const call of [
        session.addPrompt({ frameIndex: 0, text: 'cat' }),
        session.addPoints(prompt),
        session.addMask({ frameIndex: 0, objectId: 1, mask: new Uint8Array(160 * 120) }),
        session.clearPrompts({ frameIndex: 0, objectId: 1 }),
        session.removeObject(1),
        session.propagate().next(),
        session.reset(),
        session.stats(),
        session.push(noiseImage(160, 120)),
      ]) {
        expect(await rejection(call)).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_SESSION_CLOSED' })
      }
    })

    it('happens by itself to a session that nobody holds any more', async () => {
      const frames = new TestSource((index) => wanderingFrame(index))
      await (await video.model.startSession(frames)).addPoints({ frameIndex: 0, objectId: 1, points: [[80, 60]] })
      expect(await collectUntil(() => frames.closed && video.model.stats().sessions === 0)).toBe(true)
    })

    it('does not happen to a session whose results are being read', async () => {
      const results = (await clicked()).session.propagate()
      video.letGo() // only the iterator holds it now
      await results.next()
      expect(await collectUntil(() => video.model.stats().sessions === 0)).toBe(false)
      expect(await collect(results)).toHaveLength(11)
      await results.session.close()
    })

    it('ends prompts under way, those that wait for a frame as well', async () => {
      const { session } = await clicked({}, { faults: { 5: 'hang' } })
      const calls = [
        rejection(session.addPoints({ frameIndex: 3, objectId: 2, points: [[1, 1]] })),
        rejection(session.addPrompt({ frameIndex: 2, text: 'cat' })),
      ]
      await session.close()
      for (const error of await Promise.all(calls)) expect(error).toMatchObject({ code: 'ERR_SESSION_CLOSED' })
    })

    it('of the model ends sessions with ERR_DISPOSED and closes their videos', async () => {
      const other = await buildTestVideoModel(weights)
      const frames = new TestSource((index) => wanderingFrame(index))
      const session = await other.startSession(frames)
      await session.addPoints({ frameIndex: 0, objectId: 1, points: [[80, 60]] })
      const results = session.propagate()
      await results.next()
      const running = rejection(results.next())
      await other.dispose()
      expect(['ERR_DISPOSED', 'ERR_SESSION_CLOSED']).toContain((await running).code)
      expect(await rejection(session.addPoints({ frameIndex: 0, objectId: 1, points: [[1, 1]] }))).toMatchObject({
        code: 'ERR_DISPOSED',
      })
      expect(frames.closed).toBe(true)
      await session.close()
      expect(await rejection(other.startSession(frames))).toMatchObject({ code: 'ERR_DISPOSED' })
    })
  })

  describe('several sessions on one model', () => {
    it('take turns, with image calls between their steps, and give what each gives alone', async () => {
      const alone = await collect((await clicked()).session.propagate())
      const { session: first } = await clicked()
      const { session: second } = await clicked()
      const order: string[] = []
      const follow = async (name: string, session: VideoSession) => {
        const results = []
        for await (const result of session.propagate()) {
          order.push(name)
          results.push(result)
        }
        return results
      }
      const images = Promise.all(
        upTo(4).map(() => video.model.segment(noiseImage(64, 64), 'cat').then(() => order.push('image'))),
      )
      const [a, b] = await Promise.all([follow('a', first), follow('b', second)])
      await images
      expect(video.model.stats().sessions).toBe(3)
      for (const results of [a!, b!]) {
        expect(results.map(({ objects }) => objects[0]!.mask.toRle())).toEqual(
          alone.map(({ objects }) => objects[0]!.mask.toRle()),
        )
      }
      const lead = order
        .filter((name) => name !== 'image')
        .map((_, index, names) => {
          const sofar = names.slice(0, index + 1)
          return Math.abs(sofar.filter((name) => name === 'a').length - sofar.filter((name) => name === 'b').length)
        })
      expect(Math.max(...lead)).toBeLessThanOrEqual(2)
      expect(order.indexOf('image')).toBeLessThan(order.length - 1)
    })

    it('a failure in one leaves the others and the model alone', async () => {
      const { session: good } = await clicked()
      const { session: bad } = await clicked({}, { faults: { 4: 'fail' } })
      const [results, error] = await Promise.all([collect(good.propagate()), rejection(collect(bad.propagate()))])
      expect(results).toHaveLength(12)
      expect(error.message).toBe('the disk is gone')
      expect((await video.model.segment(noiseImage(64, 64), 'cat')).width).toBe(64)
      expect((await bad.addPoints({ frameIndex: 3, objectId: 1, points: [[9, 9]] })).frameIndex).toBe(3)
    })
  })
})
