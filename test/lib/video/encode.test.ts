/** Drawing over frames, and writing them as a video. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { Mask } from '../../../lib/index.js'
import { instanceColor } from '../../../lib/label/palette.js'
import { objectLabel, overlayFrame } from '../../../lib/video/draw/overlay-frame.js'
import { VideoWriter } from '../../../lib/video/encode/video-writer.js'
import { openSource } from '../../../lib/video/source/open.js'
import type { SourceFrame } from '../../../lib/video/source/types.js'
import { ffmpegChildren, probeClip } from '../../support/clips.js'
import { without } from '../../support/without.js'
import { rejection } from '../../support/model.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-encode-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string) => path.join(folder, name)

function plain(width: number, height: number, index = 0, level = 128): SourceFrame {
  return { index, timestamp: index / 25, width, height, data: new Uint8Array(width * height * 3).fill(level) }
}

function square(id: number, width: number, height: number, x0: number, y0: number, side: number) {
  const bitmap = new Uint8Array(width * height)
  for (let y = y0; y < y0 + side; y++) bitmap.fill(1, y * width + x0, y * width + x0 + side)
  return { id, prompt: 'dog', mask: Mask.fromBitmap(bitmap, width, height) }
}

describe('overlayFrame', () => {
  const at = ({ data, width }: SourceFrame, x: number, y: number) => [
    ...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3),
  ]
  const none = { contours: false, labels: false } as const

  it('fills masks with the colour of their id and leaves the frame it was given alone', async () => {
    const frame = plain(300, 200, 4)
    const drawn = await overlayFrame(frame, [square(5, 300, 200, 50, 60, 40)], { ...none, opacity: 0.5 })
    expect(drawn).toMatchObject({ index: 4, timestamp: 0.16, width: 300, height: 200 })
    at(drawn, 70, 80).forEach((value, channel) => {
      expect(Math.abs(value - (64 + instanceColor(5)[channel]! / 2))).toBeLessThanOrEqual(1)
    })
    for (const [x, y] of [
      [49, 60],
      [90, 99],
      [70, 100],
      [0, 0],
    ] as const)
      expect(at(drawn, x, y)).toEqual([128, 128, 128])
    expect(frame.data.every((value) => value === 128)).toBe(true)
  })

  it('the colour of an object does not depend on the others', async () => {
    const objects = [
      square(2, 300, 200, 10, 10, 30),
      square(9, 300, 200, 100, 50, 60),
      square(40, 300, 200, 200, 100, 20),
    ]
    const all = await overlayFrame(plain(300, 200), objects, none)
    const one = await overlayFrame(plain(300, 200), [objects[1]!], none)
    expect(at(all, 130, 80)).toEqual(at(one, 130, 80))
    expect(at(all, 20, 20)).not.toEqual(at(all, 130, 80))
  })

  it('draws a line on the edge, a rectangle and a label where they were asked for', async () => {
    const object = square(1, 300, 200, 100, 80, 60)
    const changed = async (options: object) => {
      const drawn = await overlayFrame(plain(300, 200), [object], { ...none, opacity: 0, ...options })
      return Array.from({ length: 300 * 200 }, (_, pixel) => pixel).filter((pixel) =>
        at(drawn, pixel % 300, Math.floor(pixel / 300)).some((value) => value !== 128),
      )
    }
    expect(await changed({})).toEqual([])
    const line = await changed({ contours: true })
    expect(line.length).toBeGreaterThan(4 * 55)
    for (const pixel of line) {
      const [x, y] = [pixel % 300, Math.floor(pixel / 300)]
      const toEdge = Math.min(...[x + 0.5 - 100, 160 - x - 0.5, y + 0.5 - 80, 140 - y - 0.5].map(Math.abs))
      expect(toEdge).toBeLessThan(4)
    }
    const rectangle = await changed({ boxes: true })
    expect(rectangle).toContain(80 * 300 + 130)
    expect(rectangle).toContain(139 * 300 + 159)
    expect(rectangle).not.toContain(100 * 300 + 130)
    const label = await changed({ labels: objectLabel })
    expect(label.length).toBeGreaterThan(200)
    expect(label.every((pixel) => Math.floor(pixel / 300) <= 80)).toBe(true)
    expect(await changed({ labels: () => 'a far longer label' })).not.toEqual(label)
    expect([objectLabel(object), objectLabel({ ...object, prompt: undefined })]).toEqual(['dog 1', '#1'])
  })

  it('masks at the edge, of everything, of nothing, and hundreds of them', async () => {
    const full = Mask.fromBitmap(new Uint8Array(64 * 48).fill(1), 64, 48)
    const empty = Mask.fromBitmap(new Uint8Array(64 * 48), 64, 48)
    const many = Array.from({ length: 300 }, (_, id) => square(id, 64, 48, id % 60, id % 44, 3))
    const objects = [{ id: 1000, mask: full }, { id: 1001, mask: empty }, square(1002, 64, 48, 0, 0, 9), ...many]
    const drawn = await overlayFrame(plain(64, 48), objects, { boxes: true })
    expect(drawn.data).toHaveLength(64 * 48 * 3)
  })

  it('refuses masks of another size and unknown options', async () => {
    expect(await rejection(overlayFrame(plain(30, 20), [square(1, 31, 20, 0, 0, 5)]))).toMatchObject({
      code: 'ERR_INVALID_MASK',
    })
    for (const options of [{ opacity: 2 }, { colour: 'red' }])
      expect(await rejection(overlayFrame(plain(30, 20), [], options as object))).toMatchObject({
        code: 'ERR_INVALID_ARGUMENT',
      })
  })
})

it('writing a video without ffmpeg is an error with the fix', async () => {
  const error = await rejection(VideoWriter.open(file('a.mp4'), { width: 8, height: 8, ffmpeg: file('no-ffmpeg') }))
  expect(error).toMatchObject({ code: 'ERR_FFMPEG_NOT_FOUND', message: expect.stringContaining('apt install ffmpeg') })
})

describe.skipIf(without('ffmpeg'))('VideoWriter', () => {
  afterEach(() => expect(ffmpegChildren()).toEqual([]))

  async function write(name: string, size: [number, number], times: number[], frameRate?: number) {
    const [width, height] = size
    const writer = await VideoWriter.open(file(name), { width, height, frameRate })
    for (const [index, timestamp] of times.entries()) {
      const data = new Uint8Array(width * height * 3)
      for (let at = 0; at < data.length; at += 3) data.set([200, 5 * index, 40], at)
      await writer.write({ data, timestamp })
    }
    expect(existsSync(file(name))).toBe(false)
    await writer.close()
    return probeClip(file(name))
  }

  it.each<[string, [number, number], number]>([
    ['a.mp4', [64, 48], 30000 / 1001],
    ['b.MP4', [64, 48], 25],
    ['c.mov', [130, 70], 59.94],
    ['d.mkv', [64, 48], 24],
    ['e.WebM', [64, 48], 25],
  ])('keeps size, rate and colours: %s', async (name, size, rate) => {
    const times = Array.from({ length: 20 }, (_, index) => 3 + index / rate)
    const clip = await write(name, size, times, rate)
    const isWebm = name.endsWith('WebM')
    const codec = isWebm ? 'vp9' : 'h264'
    expect(clip).toMatchObject({ width: size[0], height: size[1], codec, pixels: 'yuv420p' })
    expect(clip.times).toHaveLength(20)
    const source = await openSource(file(name))
    expect(source.frameCount).toBe(20)
    expect(source.frameRate).toBeCloseTo(rate, 3)
    for (const index of [0, 7, 19]) {
      const { data, timestamp } = (await source.frame(index))!
      expect(timestamp).toBeCloseTo(index / rate, name === 'd.mkv' || isWebm ? 2 : 4)
      const expected = [200, 5 * index, 40]
      for (let channel = 0; channel < 3; channel++)
        expect(Math.abs(data[channel]! - expected[channel]!)).toBeLessThanOrEqual(4)
    }
    await source.close()
  })

  it.each<[number, number]>([
    [63, 47],
    [64, 47],
    [33, 48],
  ])('keeps odd sizes: %d x %d', async (width, height) => {
    expect(await write('odd.mp4', [width, height], [0, 0.04, 0.08], 25)).toMatchObject({
      width,
      height,
      pixels: 'yuv444p',
    })
    rmSync(file('odd.mp4'))
  })

  it.each(['variable.mp4', 'variable.mkv', 'variable.webm'])(
    'keeps the times of a variable frame rate, gaps included: %s',
    async (name) => {
      const times = [10, 10.04, 10.5, 10.512, 12]
      const clip = await write(name, [63, 47], times)
      expect(clip).toMatchObject({ width: 63, height: 47 })
      expect(clip.times).toHaveLength(5)
      for (const [index, time] of clip.times.entries())
        expect(time).toBeCloseTo(times[index]! - 10, name.endsWith('mp4') ? 4 : 2)
    },
  )

  it('replaces a file only by a complete one, and leaves nothing behind when it is given up', async () => {
    writeFileSync(file('kept.mp4'), 'before')
    const writer = await VideoWriter.open(file('kept.mp4'), { width: 64, height: 48 })
    await writer.write(plain(64, 48))
    await writer.abort()
    await writer.abort()
    await writer.close()
    expect(readFileSync(file('kept.mp4'), 'utf8')).toBe('before')
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([])
    expect(await rejection(writer.write(plain(64, 48)))).toMatchObject({ code: 'ERR_STREAM_CLOSED' })
  })

  it('an ffmpeg that dies or cannot write is an error with its last words', async () => {
    const killed = await VideoWriter.open(file('killed.mp4'), { width: 640, height: 480 })
    await killed.write(plain(640, 480))
    for (const pid of ffmpegChildren()) process.kill(pid, 'SIGKILL')
    const error = await rejection(
      (async () => {
        for (let index = 1; index < 200; index++) await killed.write(plain(640, 480, index))
      })(),
    )
    expect(error).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_FFMPEG_FAILED' })
    expect(error.message).toContain('was ended by SIGKILL while writing')
    await killed.abort()

    const nowhere = await VideoWriter.open(file('no/folder/a.mp4'), { width: 64, height: 48 })
    const failed = await rejection(nowhere.write(plain(64, 48)).then(() => nowhere.close()))
    expect(failed).toMatchObject({ code: 'ERR_FFMPEG_FAILED' })
    expect(failed.message).toContain('No such file or directory')
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([])
  })

  it('refuses what it cannot write', async () => {
    for (const [name, options] of [
      ['a.gif', { width: 8, height: 8 }],
      ['a.mp4', { width: 8 }],
      ['a.mp4', { width: 8, height: 8, quality: 60 }],
    ] as const)
      expect(await rejection(VideoWriter.open(file(name), options as never))).toMatchObject({
        code: 'ERR_INVALID_ARGUMENT',
      })
    const writer = await VideoWriter.open(file('strict.mp4'), { width: 64, height: 48 })
    await writer.write(plain(64, 48, 3))
    expect(await rejection(writer.write(plain(64, 48, 3)))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
    expect(await rejection(writer.write(plain(64, 50, 4)))).toMatchObject({ code: 'ERR_FRAME_SIZE' })
    await writer.write(plain(64, 48, 4))
    await writer.close()
    expect(probeClip(file('strict.mp4')).times).toHaveLength(2)
  })

  it('names that look like options or addresses are files', async () => {
    const inside = process.cwd()
    process.chdir(folder)
    try {
      for (const name of ['-y.mp4', 'http:x.mp4', 'ünï %d.mp4']) {
        const writer = await VideoWriter.open(name, { width: 64, height: 48 })
        await writer.write(plain(64, 48))
        await writer.close()
        expect(existsSync(file(name))).toBe(true)
      }
    } finally {
      process.chdir(inside)
    }
  })
})
