/** SAM 3.1: each repair of what the reference's code forgets or fails on, with and without it. */
import { describe, expect, it } from 'vitest'
import type { FrameResult, SessionOptions, VideoSession } from '../../../../lib/index.js'
import { rejection } from '../../../support/model.js'
import { multiplexModel } from '../../../support/paths.js'
import { MUCH_IS_FOUND, useVideoModel } from '../../../support/video-model.js'

const OPEN: SessionOptions = { ...MUCH_IS_FOUND, suppressDetCloseToBoundary: false }

/** What is shown before the end, and the error that ended it. */
async function follow(session: VideoSession, startFrame?: number, distance?: number) {
  const shown: FrameResult[] = []
  const ended = await (async () => {
    const options = startFrame === undefined ? {} : { startFrame }
    for await (const result of session.propagateDistance(options, distance)) shown.push(result)
  })().then(
    () => undefined,
    (error: unknown) => error,
  )
  return { shown, frames: shown.map(({ frameIndex }) => frameIndex), ended }
}
const ids = ({ objects }: FrameResult) => objects.map(({ id }) => id)

describe('SAM 3.1', () => {
  const video = useVideoModel({ model: multiplexModel })
  const start = async (options: SessionOptions = {}) => (await video.wander({ ...OPEN, ...options })).session

  it('followClicksWithoutText', async () => {
    for (const followClicksWithoutText of [true, false]) {
      const session = await start({ followClicksWithoutText })
      const click = { points: [[80, 60]] as const }
      const first = await session.addPoints({ frameIndex: 0, objectId: 1, ...click })
      const ahead = await session.addPoints({ frameIndex: 6, objectId: 2, points: [[40, 40]] })
      expect([ids(first), ids(ahead)]).toEqual(followClicksWithoutText ? [[1], [1, 2].slice(-1)] : [[], []])
      const { shown, frames, ended } = await follow(session)
      expect(ended).toBeUndefined()
      expect(frames).toHaveLength(10)
      const withObjects = shown.filter(({ objects }) => objects.length > 0).map(({ frameIndex }) => frameIndex)
      if (followClicksWithoutText) expect(withObjects).toEqual(frames)
      else expect([0, 6]).toEqual(expect.arrayContaining(withObjects))
      if (!followClicksWithoutText) expect(withObjects.length).toBeGreaterThan(0)
    }
  })

  it('computeMissingFrames', async () => {
    for (const computeMissingFrames of [true, false]) {
      const session = await start({ computeMissingFrames })
      const { objects } = await session.addPrompt({ frameIndex: 0, text: 'cat' })
      expect(objects.length).toBeGreaterThan(1)
      await session.removeObject(objects[0]!.id)
      const { shown, frames, ended } = await follow(session)
      expect(ids(shown[0]!)).not.toContain(objects[0]!.id)
      if (computeMissingFrames) {
        expect([frames.length, ended]).toEqual([10, undefined])
        continue
      }
      expect(frames).toEqual([0])
      expect(ended).toMatchObject({ code: 'ERR_INFERENCE', fix: 'Leave computeMissingFrames out.' })
      // The session lives: a click is followed.
      await session.addPoints({ frameIndex: 0, objectId: 70, points: [[80, 60]] })
    }
  })

  it('repeatClicksAfterTracking', async () => {
    for (const repeatClicksAfterTracking of [true, false]) {
      const session = await start({ repeatClicksAfterTracking })
      const { objects } = await session.addPrompt({ frameIndex: 0, text: 'cat' })
      const objectId = objects[0]!.id
      await follow(session)
      const click = (frameIndex: number, x: number) =>
        session.addPoints({ frameIndex, objectId, points: [[x, 60]], clearOldPoints: false })
      await click(2, 60)
      await click(2, 90) // nothing was followed for clicks yet
      await follow(session, 2)
      await click(5, 60)
      const again = click(5, 90)
      if (repeatClicksAfterTracking) expect((await again).frameIndex).toBe(5)
      else {
        expect(await rejection(again)).toMatchObject({
          code: 'ERR_INVALID_ARGUMENT',
          fix: 'Leave repeatClicksAfterTracking out.',
        })
      }
      expect((await follow(session, 5)).ended).toBeUndefined()
    }
  })

  it('trackLastOfMaxFrames', async () => {
    for (const trackLastOfMaxFrames of [true, false]) {
      const session = await start({ trackLastOfMaxFrames })
      await session.addPrompt({ frameIndex: 0, text: 'cat' })
      const { frames, ended } = await follow(session, 0, 4)
      if (trackLastOfMaxFrames) expect([frames, ended]).toEqual([[0, 1, 2, 3, 4], undefined])
      else {
        expect(frames).toEqual([0, 1, 2, 3])
        expect(ended).toMatchObject({ code: 'ERR_INFERENCE', fix: 'Leave trackLastOfMaxFrames out.' })
      }
    }
  })
})
