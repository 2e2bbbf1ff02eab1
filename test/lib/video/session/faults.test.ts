/** Bad frames, bad prompts, limits: each a typed error or a defined result, and the session goes on. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Mask, type Sam3Error, type SessionOptions, type VideoPrompt } from '../../../../lib/index.js'
import { noiseImage, rejection } from '../../../support/model.js'
import { buildTestVideoModel, collect, TestSource, wanderingFrame } from '../../../support/video.js'
import { useVideoModel, VIDEO_KINDS } from '../../../support/video-model.js'

const click = { frameIndex: 0, objectId: 1, points: [[80, 60]] as const }
const indices = (results: { frameIndex: number }[]) => results.map(({ frameIndex }) => frameIndex)

describe.each(VIDEO_KINDS)('$kind', ({ weights }) => {
  const video = useVideoModel(weights)
  const start = video.wander

  describe('a bad frame', () => {
    it.each([
      ['corrupt', 'ERR_INVALID_FRAME'],
      ['size', 'ERR_FRAME_SIZE'],
    ] as const)('(%s) ends the propagation, or is left out', async (fault, code) => {
      const { session } = await start({}, { faults: { 4: fault } })
      await session.addPoints(click)
      const seen: number[] = []
      const error = await rejection(
        (async () => {
          for await (const { frameIndex } of session.propagate()) seen.push(frameIndex)
        })(),
      )
      expect(error).toMatchObject({ name: 'Sam3InputError', code })
      expect((error as Sam3Error).fix).not.toBe('')
      expect(seen).toEqual([0, 1, 2, 3])
      expect(indices(await collect(session.propagate({ startFrame: 5 })))).toEqual([5, 6, 7, 8, 9]) // it goes on behind it

      const { session: patient } = await start({ onBadFrame: 'skip' }, { faults: { 4: fault, 5: fault, 9: fault } })
      await patient.addPoints(click)
      expect(indices(await collect(patient.propagate()))).toEqual([0, 1, 2, 3, 6, 7, 8])
    })

    it('that is prompted is an error of the prompt only', async () => {
      const { session } = await start({ onBadFrame: 'skip' }, { faults: { 2: 'corrupt' } })
      expect(await rejection(session.addPoints({ ...click, frameIndex: 2 }))).toMatchObject({
        code: 'ERR_INVALID_FRAME',
      })
      await session.addPoints(click)
      expect(await collect(session.propagate())).toHaveLength(9)
    })

    it('does not hide a source that fails altogether', async () => {
      const { session } = await start({ onBadFrame: 'skip' }, { faults: { 4: 'fail' } })
      await session.addPoints(click)
      expect((await rejection(collect(session.propagate()))).message).toBe('the disk is gone')
    })
  })

  describe('frames that are prompted', () => {
    it('may lie ahead: the object appears there', async () => {
      const { session } = await start()
      await session.addPoints(click)
      await session.addPoints({ frameIndex: 6, objectId: 2, points: [[40, 40]] })
      const results = await collect(session.propagate())
      expect(indices(results)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      expect(results[6]!.objects.map(({ id }) => id)).toContain(2)
    })

    it.each([10, -1, 0.5, '0', undefined])('must be of the video: not %s', async (frameIndex) => {
      const { session } = await start()
      const where = { frameIndex: frameIndex as number, objectId: 1 }
      for (const call of [
        session.addPrompt({ frameIndex: frameIndex as number, text: 'cat' }),
        session.addPoints({ ...where, points: [[1, 1]] }),
        session.addMask({ ...where, mask: new Uint8Array(160 * 120) }),
        session.clearPrompts(where),
      ]) {
        expect(await rejection(call)).toMatchObject({ name: 'Sam3InputError', code: 'ERR_INVALID_FRAME' })
      }
    })

    it('of a stream may be past its end', async () => {
      const { session } = await start({}, { stream: true })
      expect(await rejection(session.addPoints({ ...click, frameIndex: 10 }))).toMatchObject({
        code: 'ERR_INVALID_FRAME',
      })
    })

    it('that have passed need full history', async () => {
      for (const history of ['bounded', 'full'] as const) {
        const { session } = await start({ history })
        await session.addPoints(click)
        for await (const { frameIndex } of session.propagate()) if (frameIndex === 5) break
        const late = session.addPoints({ ...click, frameIndex: 2 })
        if (history === 'full') expect((await late).frameIndex).toBe(2)
        else {
          expect(await rejection(late)).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_HISTORY_REQUIRED' })
          expect((await session.addPoints({ ...click, frameIndex: 5 })).frameIndex).toBe(5)
        }
      }
    })
  })

  describe('objects', () => {
    it('that are not there cannot be removed or cleared', async () => {
      const { session } = await start()
      await session.addPoints(click)
      for (const call of [session.removeObject(2), session.clearPrompts({ frameIndex: 0, objectId: 2 })]) {
        expect(await rejection(call)).toMatchObject({ name: 'Sam3InputError', code: 'ERR_UNKNOWN_OBJECT' })
      }
      await session.removeObject(1)
      expect(await rejection(session.removeObject(1))).toMatchObject({ code: 'ERR_UNKNOWN_OBJECT' })
      expect(await rejection(session.removePrompt(0))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
    })

    it('none found: every frame comes, without objects', async () => {
      const { session } = await start({ scoreThresholdDetection: 1, hotstartDelay: 3 })
      expect(await session.addPrompt({ frameIndex: 0, text: 'cat' })).toMatchObject({
        objects: [],
        promptIndex: 0,
        warnings: [],
      })
      const results = await collect(session.propagate())
      expect(indices(results)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      for (const { objects, tracked } of results) expect([objects, tracked]).toEqual([[], 0])
    })

    it.each([-1, 0.5, Number.NaN, '1', undefined])('have whole numbers as ids: not %s', async (objectId) => {
      const { session } = await start()
      const where = { frameIndex: 0, objectId: objectId as number }
      for (const call of [
        session.addPoints({ ...where, points: [[1, 1]] }),
        session.addMask({ ...where, mask: new Uint8Array(160 * 120) }),
        session.clearPrompts(where),
        session.removeObject(objectId as number),
      ]) {
        expect(await rejection(call)).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
      }
    })
  })

  describe('prompts', () => {
    it.each([
      [{ frameIndex: 0 }, 'ERR_EMPTY_PROMPT'],
      [{ frameIndex: 0, text: ' ' }, 'ERR_EMPTY_PROMPT'],
      [{ frameIndex: 0, text: 3 }, 'ERR_INVALID_ARGUMENT'],
      [{ frameIndex: 0, text: 'cat', threshold: 0.5 }, 'ERR_INVALID_ARGUMENT'],
      [{ frameIndex: 0, boxes: [[200, 0, 240, 40]] }, 'ERR_INVALID_BOX'],
      [{ frameIndex: 0, boxes: [[-1e25, -1e25, 1e25, 1e25]] }, 'ERR_INVALID_BOX'],
      [{ frameIndex: 0, boxes: Float32Array.of(0, 0, 1e30, 5) }, 'ERR_INVALID_BOX'],
      [{ frameIndex: 0, boxes: [1, 1, 40, 40] }, 'ERR_INVALID_ARGUMENT'],
      [
        {
          frameIndex: 0,
          boxes: [
            [0, 0, 9, 9],
            [9, 9, 20, 20],
          ],
        },
        'ERR_INVALID_ARGUMENT',
      ],
    ])('refuses the concept %j', async (prompt, code) => {
      const { session } = await start()
      expect(await rejection(session.addPrompt(prompt as never))).toMatchObject({ name: 'Sam3InputError', code })
    })

    it.each([
      [{}, 'ERR_EMPTY_PROMPT'],
      [{ points: [[161, 0]] }, 'ERR_INVALID_POINT'],
      [{ points: [[1e25, -1e25]] }, 'ERR_INVALID_POINT'],
      [{ points: Float32Array.of(1, Number.NaN) }, 'ERR_INVALID_POINT'],
      [{ box: [-1e25, 0, 1e25, 20] }, 'ERR_INVALID_BOX'],
      [{ points: [[1, 1]], labels: [1, 0] }, 'ERR_INVALID_POINT'],
      [{ points: [[1, 1]], labels: [2] }, 'ERR_INVALID_ARGUMENT'],
      [{ box: [10, 10, 5, 20] }, 'ERR_INVALID_BOX'],
      [{ points: [[1, 1]], multimask: true }, 'ERR_INVALID_ARGUMENT'],
      [{ points: [[1, 1]], clearOldPoints: 'no' }, 'ERR_INVALID_ARGUMENT'],
    ])('refuses the clicks %j', async (points, code) => {
      const { session } = await start()
      const call = session.addPoints({ frameIndex: 0, objectId: 1, ...points } as never)
      expect(await rejection(call)).toMatchObject({ name: 'Sam3InputError', code })
      expect((await session.stats()).objects).toBe(0)
    })

    it('refuses a mask of another size, takes a Mask as well as bytes', async () => {
      const { session } = await start()
      const bytes = new Uint8Array(160 * 120)
      for (let y = 30; y < 60; y++) bytes.fill(255, y * 160 + 40, y * 160 + 80)
      const where = { frameIndex: 0, objectId: 1 }
      for (const mask of [
        new Uint8Array(10),
        Mask.fromBitmap(new Uint8Array(4), 2, 2),
        [1, 0],
        undefined,
        new BigInt64Array(160 * 120),
        new Float32Array(160 * 120).fill(-0.5), // logits
        new Float32Array(160 * 120).fill(Number.NaN),
        Array.from({ length: 120 }, () => new Uint8Array(159)),
      ]) {
        expect(await rejection(session.addMask({ ...where, mask: mask as Uint8Array }))).toMatchObject({
          code: 'ERR_INVALID_MASK',
        })
      }
      const first = await session.addMask({ ...where, mask: bytes })
      const second = await session.addMask({ ...where, mask: Mask.fromBitmap(bytes, 160, 120) })
      expect(second.objects[0]!.mask.toRle()).toEqual(first.objects[0]!.mask.toRle())
      expect(first.objects[0]!.mask.area).toBeGreaterThan(0)
      const rows = Array.from({ length: 120 }, (_, y) => bytes.subarray(y * 160, y * 160 + 160))
      for (const mask of [Float32Array.from(bytes), [...bytes], rows, rows.map((row) => [...row])]) {
        const again = await session.addMask({ ...where, mask })
        expect(again.objects[0]!.mask.toRle()).toEqual(first.objects[0]!.mask.toRle())
      }
    })

    it('takes typed arrays as boxes, points and labels', async () => {
      const rles = async (clicks: object) => {
        const { session } = await start()
        const { objects } = await session.addPoints({ frameIndex: 0, objectId: 1, ...clicks })
        return objects.map(({ mask }) => mask.toRle())
      }
      const plain = await rles({
        points: [
          [60, 40],
          [90, 50],
        ],
        labels: [1, 0],
        box: [30, 20, 100, 90],
      })
      const box = Float32Array.of(30, 20, 100, 90)
      expect(await rles({ points: Float32Array.of(60, 40, 90, 50), labels: Int32Array.of(1, 0), box })).toEqual(plain)

      const scores = async (boxes: VideoPrompt['boxes']) => {
        const { session } = await start({
          scoreThresholdDetection: 0,
          newDetThresh: 0,
          maxNumObjects: 2,
          hotstartDelay: 0,
        })
        const { objects } = await session.addPrompt({ frameIndex: 0, boxes })
        return objects.map(({ score }) => score)
      }
      expect(await scores([box])).toEqual(await scores([[30, 20, 100, 90]]))
      expect(await scores(box)).toEqual(await scores([[30, 20, 100, 90]]))
    })

    it('tells that a text was cut off, and keeps the text with its objects', async () => {
      const { session } = await start({
        scoreThresholdDetection: 0,
        newDetThresh: 0,
        maxNumObjects: 2,
        hotstartDelay: 0,
      })
      const text = 'cat '.repeat(40).trim()
      const { warnings, objects, promptIndex } = await session.addPrompt({ frameIndex: 0, text })
      expect(warnings).toEqual([expect.stringContaining('cut off')])
      expect(objects.length).toBeGreaterThan(0)
      for (const object of objects) expect(object).toMatchObject({ prompt: text, promptIndex })
    })

    it('can be given up, and then leave nothing behind', async () => {
      const { session } = await start()
      const already = { signal: AbortSignal.abort('late') }
      expect(await rejection(session.addPoints(click, already))).toMatchObject({ code: 'ABORT_ERR', cause: 'late' })
      const controller = new AbortController()
      const calls = [
        rejection(session.addPrompt({ frameIndex: 0, text: 'cat' }, { signal: controller.signal })),
        rejection(session.addPoints({ ...click, frameIndex: 1 }, { signal: controller.signal })),
      ]
      controller.abort()
      for (const error of await Promise.all(calls))
        expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' })
      expect((await session.stats()).objects).toBe(0)
      expect(await rejection(collect(session.propagate()))).toMatchObject({
        code: 'ERR_NO_PROMPT',
        message: expect.stringMatching(/addPrompt\(\)(?!.*report)/s),
      })
    })
  })

  describe('limits', () => {
    it('a full history stops at its memory limit, and the session stays usable', async () => {
      const { session } = await start({ history: 'full', memoryLimit: 600_000 }, {}, 40)
      await session.addPoints(click)
      const seen: number[] = []
      const error = await rejection(
        (async () => {
          for await (const { frameIndex } of session.propagate()) seen.push(frameIndex)
        })(),
      )
      expect(error).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_MEMORY_LIMIT' })
      expect(seen.length).toBeGreaterThan(1)
      expect((await session.stats()).hostBytes).toBeLessThanOrEqual(600_000)
      await session.reset()
      await session.addPoints(click)
      expect(indices(await collect(session.propagate({ maxFrames: 2 })))).toEqual([0, 1])
    })

    it('a full queue refuses a step, and the next propagation goes on', async () => {
      const small = await buildTestVideoModel({ ...weights, queueLimit: 1 })
      const session = await small.startSession(new TestSource((index) => wanderingFrame(index), {}, 500))
      await session.addPoints(click)
      const results = session.propagate()
      await results.next()
      let crowded = true
      const image = noiseImage(64, 64)
      const crowd = [1, 2, 3, 4].map(async () => {
        while (crowded) await small.segment(image, 'cat').catch(() => setImmediate()) // one runs, one waits, two are refused
      })
      const refused = async () => {
        while (!(await results.next()).done);
      }
      expect(await rejection(refused())).toMatchObject({ code: 'ERR_QUEUE_FULL' })
      crowded = false
      await Promise.all(crowd)
      const { frames } = await session.stats()
      expect(indices(await collect(session.propagate({ startFrame: frames, maxFrames: 1 })))).toEqual([frames])
      await session.close() // also with a full queue
      await small.dispose()
    })
  })

  describe('startSession', () => {
    it.each([
      [{ history: 'some' }],
      [{ resample: 'nearest' }],
      [{ onBadFrame: 'ignore' }],
      [{ logits: 1 }],
      [{ memoryLimit: 0 }],
      [{ detNmsThresh: 2 }],
      [{ newDetThresh: '0.5' }],
      [{ hotstartDelay: -1 }],
      [{ hotstartDelay: 5, hotstartDupThresh: 6 }],
      [{ hotstartUnmatchThresh: 16 }],
      [{ maxNumObjects: 0 }],
      [{ initTrkKeepAlive: 40 }],
      [{ maxCondFramesInAttn: 1 }],
      [{ maxObjPtrsInEncoder: 1 }],
      [{ useMemorySelection: 'yes' }],
      [{ hotstart_delay: 5 }],
    ])('refuses %j', async (options) => {
      const error = await rejection(start(options as SessionOptions))
      expect(error).toMatchObject({ name: 'Sam3InputError', code: 'ERR_INVALID_ARGUMENT' })
      expect((error as Sam3Error).fix).not.toBe('')
    })

    it.each([
      [{ hotstartDelay: 0 }],
      [{ hotstartDelay: 3 }],
      [{ hotstartDelay: 3, hotstartUnmatchThresh: 1 }],
      [{ maxNumObjects: -1, maxCondFramesInAttn: -1, minTrkKeepAlive: -5 }],
    ])('takes %j', async (options) => {
      const { session } = await start(options)
      await session.addPrompt({ frameIndex: 0, text: 'cat' })
      expect(await collect(session.propagate())).toHaveLength(10)
    })

    it('refuses a source that says nonsense, and closes it', async () => {
      const lies: object[] = [{ width: 0 }, { height: 1.5 }, { frameCount: 0 }]
      for (const lie of lies) {
        const frames = Object.assign(new TestSource((index) => wanderingFrame(index)), lie)
        expect(await rejection(video.model.startSession(frames))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
        expect(frames.closed).toBe(true)
      }
    })

    it('a frame that is not what the source said is a bad frame', async () => {
      const frames = new TestSource((index) => ({ ...wanderingFrame(index), data: new Uint8Array(index ? 5 : 57600) }))
      const session = await video.start(frames)
      await session.addPoints(click)
      expect(await rejection(collect(session.propagate()))).toMatchObject({ code: 'ERR_INVALID_FRAME' })
    })

    it('can be given up', async () => {
      const error = await rejection(start({ signal: AbortSignal.abort('no time') }))
      expect(error).toMatchObject({ name: 'AbortError', cause: 'no time' })
    })
  })
})
