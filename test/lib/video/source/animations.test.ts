/** Files of several pictures as videos: animated WebP, APNG, AVIF sequences, TIFFs with pages. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, describe, expect, it } from 'vitest'
import { openSource } from '../../../../lib/video/source/open.js'
import type { FrameSource, SourceOptions } from '../../../../lib/video/source/types.js'
import { ffmpeg } from '../../../support/clips.js'
import { without } from '../../../support/without.js'
import { rejection } from '../../../support/model.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-animations-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string) => path.join(folder, name)

const [width, height] = [40, 30]
/** Frame n: red is 10 n, and a white square has moved n pixels to the right. */
function pixels(index: number): Buffer {
  const data = Buffer.alloc(width * height * 3)
  for (let at = 0; at < width * height; at++) {
    const [x, y] = [at % width, Math.floor(at / width)]
    const isSquare = y < 5 && x >= index && x < index + 5
    data.set(isSquare ? [255, 255, 255] : [(10 * index) % 250, 60, 90], 3 * at)
  }
  return data
}
const raw = { raw: { width, height, channels: 3 } } as const
const joined = async (count: number) =>
  sharp(await Promise.all(Array.from({ length: count }, (_, index) => sharp(pixels(index), raw).png().toBuffer())), {
    join: { animated: true },
  })
const webp = async (name: string, count: number, delay: number | number[] = 40) =>
  (await joined(count))
    .webp({ lossless: true, delay: typeof delay === 'number' ? Array(count).fill(delay) : delay, effort: 0 })
    .toFile(file(name))

/** A TIFF of grey pages, each of its size and level, without compression. */
function tiff(pages: readonly (readonly [width: number, height: number, level: number])[]): Buffer {
  const parts: Buffer[] = [Buffer.from('II*\0\x08\0\0\0', 'latin1')]
  let position = 8
  for (const [index, [w, h, level]] of pages.entries()) {
    const entries = [
      ...[
        [256, w],
        [257, h],
        [258, 8],
        [259, 1],
        [262, 1],
      ],
      ...[
        [273, position + 2 + 9 * 12 + 4],
        [277, 1],
        [278, h],
        [279, w * h],
      ],
    ] as const
    const directory = Buffer.alloc(2 + entries.length * 12 + 4)
    directory.writeUInt16LE(entries.length, 0)
    for (const [at, [tag, value]] of entries.entries()) {
      directory.writeUInt16LE(tag!, 2 + 12 * at)
      directory.writeUInt16LE(4, 4 + 12 * at)
      directory.writeUInt32LE(1, 6 + 12 * at)
      directory.writeUInt32LE(value!, 10 + 12 * at)
    }
    const size = directory.length + w * h
    directory.writeUInt32LE(index === pages.length - 1 ? 0 : position + size, directory.length - 4)
    parts.push(directory, Buffer.alloc(w * h, level))
    position += size
  }
  return Buffer.concat(parts)
}

async function expectFrames(source: FrameSource, order: number[], tolerance = 0): Promise<void> {
  for (const index of order) {
    const frame = (await source.frame(index))!
    expect(frame).toMatchObject({ index, width, height })
    expect(frame.data).toHaveLength(width * height * 3)
    const expected = pixels(index)
    const worst = frame.data.reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at]!)), 0)
    expect(worst).toBeLessThanOrEqual(tolerance)
  }
}
const count = (length: number) => Array.from({ length }, (_, index) => index)
async function opened(name: string, options: SourceOptions = {}): Promise<FrameSource> {
  return openSource(file(name), options)
}
/** What a machine without ffmpeg has. */
const none = { ffmpeg: '/none/ffmpeg' }

describe('an animated WebP', () => {
  it('gives every frame in any order, with its time, without ffmpeg', async () => {
    await webp('even.webp', 12)
    const source = await opened('even.webp', { ...none, frameRate: 7 })
    expect(source).toMatchObject({ width, height, frameCount: 12, frameRate: 25, randomAccess: true })
    await expectFrames(source, [...count(12), ...count(12).reverse(), 7, 3, 11, 0])
    expect((await source.frame(5))!.timestamp).toBeCloseTo(0.2, 9)
    expect(await source.frame(12)).toBeUndefined()
    await source.close()
    expect(await rejection(source.frame(0))).toMatchObject({ code: 'ERR_STREAM_CLOSED' })
  })

  it('of delays that differ has these times; no delay is that of browsers', async () => {
    await webp('varied.webp', 5, [40, 100, 0, 250, 40])
    const source = await opened('varied.webp')
    expect(source.frameRate).toBeUndefined()
    const times = await Promise.all(count(5).map(async (index) => (await source.frame(index))!.timestamp))
    expect(times.map((time) => Math.round(time * 1000))).toEqual([0, 40, 140, 240, 490])
  })

  it('is told by its bytes, not by its name; a folder of it alone is the same', async () => {
    await webp('named.png', 4)
    expect((await opened('named.png')).frameCount).toBe(4)
    mkdirSync(file('alone'))
    await webp('alone/clip.webp', 4)
    const source = await opened('alone')
    expect(source.frameCount).toBe(4)
    await expectFrames(source, [3, 0])
  })

  it('is decoded in runs: long ones take no more memory, and all frames are right', async () => {
    const [wide, high, frames] = [1200, 900, 24] // 3.2 MB each, 78 MB together: three runs
    const images = count(frames).map((index) =>
      sharp({ create: { width: wide, height: high, channels: 3, background: { r: 10 * index, g: 9, b: 80 } } }).png(),
    )
    const buffers = await Promise.all(images.map((image) => image.toBuffer()))
    await sharp(buffers, { join: { animated: true }, limitInputPixels: false })
      .webp({ lossless: true, effort: 0, delay: 40 })
      .toFile(file('long.webp'))
    const source = await opened('long.webp')
    const level = async (index: number) => (await source.frame(index))!.data.subarray(0, 3)
    const held = new Set<ArrayBufferLike>()
    for (const index of [...count(frames), ...count(frames).reverse(), 20, 2]) {
      const data = await level(index)
      expect([...data]).toEqual([10 * index, 9, 80])
      held.add(data.buffer)
      expect(data.buffer.byteLength).toBeLessThanOrEqual(32 * 2 ** 20)
    }
    expect(held.size).toBeGreaterThanOrEqual(3)
  })

  it('that was cut off is an error of the frames that are missing, or of the file', async () => {
    await webp('whole.webp', 12)
    const { length } = readFileSync(file('whole.webp'))
    writeFileSync(file('cut.webp'), readFileSync(file('whole.webp')))
    truncateSync(file('cut.webp'), Math.floor(length / 2))
    const source = await opened('cut.webp').catch((error) => error)
    if (source instanceof Error) {
      expect(source).toMatchObject({ name: 'Sam3InputError', code: 'ERR_INVALID_VIDEO' })
      expect(source.message).toContain('cut.webp')
    } else {
      await expectFrames(source, [0])
      expect(await rejection(source.frame(11))).toMatchObject({ name: 'Sam3InputError', code: 'ERR_INVALID_FRAME' })
    }
    truncateSync(file('cut.webp'), 20)
    expect(await rejection(opened('cut.webp'))).toMatchObject({ name: 'Sam3InputError', code: 'ERR_INVALID_VIDEO' })
  })
})

describe('a TIFF', () => {
  it('of several pages is a video of them, at the rate that was asked for', async () => {
    await (await joined(9)).tiff({ compression: 'lzw' }).toFile(file('stack.tif'))
    const source = await opened('stack.tif', { ...none, frameRate: 10 })
    expect(source).toMatchObject({ width, height, frameCount: 9, frameRate: 10, randomAccess: true })
    await expectFrames(source, [...count(9), 4, 8, 0])
    expect((await source.frame(4))!.timestamp).toBeCloseTo(0.4, 9)
  })

  it('with pages of another size: an error of these', async () => {
    writeFileSync(
      file('mixed.tiff'),
      tiff([
        [8, 6, 10],
        [4, 3, 20],
        [8, 6, 30],
      ]),
    )
    const source = await opened('mixed.tiff')
    expect(source.frameCount).toBe(3)
    expect((await source.frame(0))!.data[0]).toBe(10)
    const error = await rejection(source.frame(1))
    expect(error).toMatchObject({ name: 'Sam3InputError', code: 'ERR_FRAME_SIZE' })
    expect(error.message).toContain('Frame 1 is 4 x 3, the video is 8 x 6')
    expect((await source.frame(2))!.data[0]).toBe(30)
  })

  it('with a damaged page: an error that names it', async () => {
    const bytes = tiff([
      [8, 6, 10],
      [8, 6, 20],
    ])
    writeFileSync(file('damaged.tif'), bytes.subarray(0, bytes.length - 20))
    const source = await opened('damaged.tif')
    expect((await source.frame(0))!.data[0]).toBe(10)
    const error = await rejection(source.frame(1))
    expect(error).toMatchObject({ name: 'Sam3InputError', code: 'ERR_INVALID_FRAME' })
    expect(error.message).toContain(`Picture 1 of ${file('damaged.tif')} is a TIFF file that is cut off or damaged`)
  })
})

it.each(['png', 'webp', 'tiff', 'jpeg'] as const)(
  'a still %s is a video of one frame, without ffmpeg',
  async (format) => {
    await sharp(pixels(3), raw)
      .toFormat(format, { quality: 100 })
      .toFile(file(`still.${format}`))
    const source = await opened(`still.${format}`, none)
    expect(source).toMatchObject({ width, height, frameCount: 1, frameRate: 30 })
    const [red, green] = (await source.frame(0))!.data.subarray(-3)
    expect([Math.abs(red! - 30) < 4, Math.abs(green! - 60) < 4]).toEqual([true, true])
    expect(await source.frame(1)).toBeUndefined()
  },
)

describe.skipIf(without('ffmpeg'))('read by ffmpeg', () => {
  it.each<[string, string, string[], number]>([
    ['APNG', 'clip.apng', ['-f', 'apng', '-plays', '0'], 0],
    ['APNG with the name of a still', 'clip.png', ['-f', 'apng', '-plays', '0'], 0],
    ['AVIF sequence', 'clip.avif', ['-c:v', 'libaom-av1', '-cpu-used', '8', '-crf', '5', '-pix_fmt', 'yuv444p'], 40],
  ])('%s', async (_name, name, output, tolerance) => {
    for (const index of count(9)) await sharp(pixels(index), raw).toFile(file(`source-${index}.png`))
    ffmpeg('-framerate', '20', '-i', file('source-%d.png'), ...output, file(name))
    const source = await opened(name)
    expect(source).toMatchObject({ width, height, frameCount: 9, randomAccess: true })
    expect(source.frameRate).toBeCloseTo(20, 6)
    await expectFrames(source, [...count(9), 4, 8, 0], tolerance)
    expect((await source.frame(6))!.timestamp).toBeCloseTo(0.3, 6)
    await source.close()
  })

  it('an animation that needs ffmpeg says so where there is none', async () => {
    ffmpeg('-f', 'lavfi', '-i', 'testsrc=s=32x24:r=10:d=0.5', '-f', 'apng', file('needs.png'))
    expect(await rejection(opened('needs.png', none))).toMatchObject({ code: 'ERR_FFMPEG_NOT_FOUND' })
  })
})
