/** One read at a time, each frame once, and waiting that can be given up. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { FrameSource, SourceFrame } from '../../../../lib/index.js'
import { FrameReader, isBadFrame } from '../../../../lib/video/session/frame-reader.js'
import { rejection } from '../../../support/model.js'
import { TestSource, type TestSourceOptions, wanderingFrame } from '../../../support/video.js'

const source = (options: TestSourceOptions = {}) => new TestSource((index) => wanderingFrame(index, 8, 8), options)

describe('FrameReader', () => {
  it('reads each frame once, however many ask for it, one after the other', async () => {
    const frames = source()
    let running = 0
    const read = frames.frame.bind(frames)
    frames.frame = async (index, signal) => {
      expect(++running).toBe(1)
      await setImmediate()
      running--
      return read(index, signal)
    }
    const reader = new FrameReader(frames)
    const found = await Promise.all([3, 3, 4, 4, 3].map((index) => reader.read(index)))
    expect(found.map((frame) => frame!.index)).toEqual([3, 3, 4, 4, 3])
    expect(frames.asked).toEqual([3, 4])
    expect((await reader.read(4))!.index).toBe(4)
    expect(frames.asked).toEqual([3, 4])
  })

  it('gives the next frame where one was dropped, for every index in between', async () => {
    const asked: number[] = []
    const live: FrameSource = {
      ...{ width: 2, height: 2, frameCount: undefined, frameRate: undefined, randomAccess: false },
      frame: async (index): Promise<SourceFrame> => {
        asked.push(index)
        return { index: index + 2, timestamp: 1, width: 2, height: 2, data: new Uint8Array(12) }
      },
      close: async () => {},
    }
    const reader = new FrameReader(live)
    for (const index of [5, 6, 7]) expect((await reader.read(index))!.index).toBe(7)
    expect((await reader.read(8))!.index).toBe(10)
    expect(asked).toEqual([5, 8])
  })

  it('a read that is given up takes nobody else with it', async () => {
    const frames = source({ faults: { 1: 'hang' } })
    const reader = new FrameReader(frames)
    const [first, second] = [new AbortController(), new AbortController()]
    const given = [rejection(reader.read(1, first.signal)), rejection(reader.read(1, second.signal))]
    const behind = reader.read(2)
    await setImmediate()
    first.abort('a')
    expect(await given[0]).toMatchObject({ code: 'ABORT_ERR', cause: 'a' })
    await setImmediate()
    expect(frames.asked.filter((index) => index === 1)).toHaveLength(2) // begun again for the second
    second.abort('b')
    expect(await given[1]).toMatchObject({ code: 'ABORT_ERR', cause: 'b' })
    expect((await behind)!.index).toBe(2)
    expect(await rejection(reader.read(3, AbortSignal.abort()))).toMatchObject({ code: 'ABORT_ERR' })
  })

  it('remembers when frames are shown, until they are forgotten', async () => {
    const reader = new FrameReader(source({ frameRate: 10 }))
    const read = FrameReader.prototype.read.bind(reader)
    for (let index = 0; index < 5; index++) await read(index)
    expect([0, 4].map((index) => reader.timestamp(index))).toEqual([0, 0.4])
    reader.forget(4)
    expect(reader.timestamp(2)).toBeCloseTo(0.2, 10) // by the frame rate
  })

  it('tells bad frames from a source that fails', async () => {
    const reader = new FrameReader(source({ faults: { 1: 'corrupt', 2: 'size', 3: 'fail' } }))
    const errors = [await rejection(reader.read(1)), await rejection(reader.read(2)), await rejection(reader.read(3))]
    expect(errors.map(isBadFrame)).toEqual([true, true, false])
    expect((await reader.read(0))!.index).toBe(0)
    expect(await reader.read(99)).toBeUndefined()
  })
})
