/** Folders, lists, iterables and live frames as videos. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import sharp from 'sharp'
import { afterAll, describe, expect, it } from 'vitest'
import type { ImageInput, RawImage } from '../../../../lib/index.js'
import { inFrameOrder } from '../../../../lib/video/source/list.js'
import { openSource } from '../../../../lib/video/source/open.js'
import { PushSource } from '../../../../lib/video/source/push.js'
import type { FrameSource, VideoInput } from '../../../../lib/video/source/types.js'
import { ffmpeg } from '../../../support/clips.js'
import { deferred } from '../../../support/deferred.js'
import { rejection } from '../../../support/model.js'
import { repositoryRoot } from '../../../support/paths.js'
import { without } from '../../../support/without.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-frames-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** An image of one grey level. */
const grey = (level: number, width = 8, height = 6): RawImage => ({
  width,
  height,
  channels: 3,
  data: new Uint8Array(width * height * 3).fill(level),
})
const encoded = (level: number, format: 'png' | 'jpeg' | 'webp' | 'tiff' | 'avif' = 'png') => {
  const { data, width, height } = grey(level)
  return sharp(data, { raw: { width, height, channels: 3 } })
    .toFormat(format, { quality: 100 })
    .toBuffer()
}

async function makeFolder(name: string, files: Record<string, Buffer | string>): Promise<string> {
  const made = path.join(folder, name)
  mkdirSync(made, { recursive: true })
  for (const [file, bytes] of Object.entries(files)) writeFileSync(path.join(made, file), bytes)
  return made
}

async function levels(source: FrameSource): Promise<number[]> {
  const seen: number[] = []
  for (let index = 0; ; index++) {
    const frame = await source.frame(index)
    if (!frame) return seen
    expect(frame).toMatchObject({ index, width: 8, height: 6 })
    seen.push(frame.data[0]!)
  }
}

describe('a folder of frames', () => {
  it('has names in the order of their frames', () => {
    expect(inFrameOrder(['10.jpg', '9.jpg', '00011.png', '8.jpg'])).toEqual(['8.jpg', '9.jpg', '10.jpg', '00011.png'])
    expect(inFrameOrder(['f_10.png', 'f_9.png', 'e_11.png'])).toEqual(['e_11.png', 'f_9.png', 'f_10.png'])
    expect(inFrameOrder(['a1b10.png', 'a1b9.png', 'a01b9.png', 'a.png'])).toEqual([
      'a.png',
      'a01b9.png',
      'a1b9.png',
      'a1b10.png',
    ])
    expect(inFrameOrder(['99999999999999999999.png', '99999999999999999998.png'])[0]).toBe('99999999999999999998.png')
  })

  it('is read in every format, hidden and other files left out', async () => {
    const made = await makeFolder('all', {
      '1.png': await encoded(10),
      '2.jpeg': await encoded(20, 'jpeg'),
      '3.WEBP': await encoded(30, 'webp'),
      '10.tiff': await encoded(40, 'tiff'),
      '11.avif': await encoded(50, 'avif'),
      '.0.png': 'a thumbnail',
      'notes.txt': 'no frame',
    })
    mkdirSync(path.join(made, '5.png'))
    for (const video of [made, pathToFileURL(made), String(pathToFileURL(made))]) {
      const source = await openSource(video, { frameRate: 10 })
      expect(source).toMatchObject({ width: 8, height: 6, frameCount: 5, frameRate: 10, randomAccess: true })
      const seen = await levels(source)
      for (const [index, level] of seen.entries()) expect(Math.abs(level - 10 * (index + 1))).toBeLessThanOrEqual(2)
      expect((await source.frame(3))!.timestamp).toBeCloseTo(0.3, 12)
      expect((await source.frame(0))!.data[0]).toBe(10)
      await source.close()
      expect(await rejection(source.frame(0))).toMatchObject({ code: 'ERR_STREAM_CLOSED' })
    }
  })

  it('a HEIC among the frames is an error that says what it is, not left out', async () => {
    const heic = Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1')
    const made = await makeFolder('phone', { '0.png': await encoded(10), '1.HEIC': heic })
    const source = await openSource(made)
    expect(source.frameCount).toBe(2)
    const error = await rejection(source.frame(1))
    expect(error).toMatchObject({
      code: 'ERR_INVALID_FRAME',
      message: expect.stringMatching(/1\.HEIC is a HEIC.*HEVC/),
    })
    await source.close()
    const alone = await rejection(openSource(path.join(made, '1.HEIC')))
    expect(alone).toMatchObject({ code: 'ERR_INVALID_VIDEO', message: expect.stringContaining('HEVC') })
  })

  it('one bad frame is an error of that frame only', async () => {
    const made = await makeFolder('bad', {
      '0.png': 'no image',
      '1.png': await encoded(10),
      '2.png': (await encoded(20)).subarray(0, 40),
      '3.png': await sharp({ create: { width: 9, height: 6, channels: 3, background: '#888' } })
        .png()
        .toBuffer(),
      '4.png': await encoded(40),
    })
    const source = await openSource(made)
    expect(source.frameCount).toBe(5)
    for (const index of [0, 2]) {
      const error = await rejection(source.frame(index))
      expect(error).toMatchObject({ name: 'Sam3InputError', code: 'ERR_INVALID_FRAME' })
      expect(error.message).toContain(`${index}.png`)
    }
    const error = await rejection(source.frame(3))
    expect(error).toMatchObject({ code: 'ERR_FRAME_SIZE' })
    expect(error.message).toContain('Frame 3 is 9 x 6, the video is 8 x 6')
    expect((await source.frame(4))!.data[0]).toBe(40)
    expect((await source.frame(1))!.data[0]).toBe(10)
    for (const index of [-1, 1.5, Number.NaN])
      expect(await rejection(source.frame(index))).toMatchObject({ code: 'ERR_INVALID_FRAME' })
  })

  it.each<[string, () => Promise<VideoInput>, string, string]>([
    ['that is not there', async () => path.join(folder, 'none'), 'ERR_VIDEO_NOT_FOUND', 'ENOENT'],
    ['without images', async () => makeFolder('empty', { 'a.txt': '' }), 'ERR_INVALID_VIDEO', 'no image in the folder'],
    ['of broken images', async () => makeFolder('broken', { 'a.png': 'x' }), 'ERR_INVALID_VIDEO', 'a.png'],
    ['at a file: URL of another machine', async () => 'file://elsewhere/frames', 'ERR_INVALID_ARGUMENT', 'file: URL'],
    ['that is a device', async () => '/dev/null', 'ERR_INVALID_VIDEO', 'neither a file nor a folder'],
  ])('%s is refused', async (_name, video, code, message) => {
    const error = await rejection(openSource(await video()))
    expect(error).toMatchObject({ name: 'Sam3InputError', code })
    expect(error.message).toContain(message)
  })

  it('of one image: the image itself', async () => {
    const made = await makeFolder('one', { 'a.png': await encoded(77) })
    expect(await levels(await openSource(path.join(made, 'a.png')))).toEqual([77])
  })
})

describe('a list', () => {
  it('holds anything that is an image, each read when it is asked for', async () => {
    const made = await makeFolder('list', { 'a.png': await encoded(1) })
    const images: ImageInput[] = [path.join(made, 'a.png'), await encoded(2), grey(3), sharp(await encoded(4))]
    const source = await openSource(images)
    expect(source).toMatchObject({ frameCount: 4, frameRate: 30, randomAccess: true })
    expect(await levels(source)).toEqual([1, 2, 3, 4])
  })

  it('stops waiting when it is told to', async () => {
    const source = await openSource([grey(1), grey(2)])
    const stopped = AbortSignal.abort(new Error('enough'))
    expect(await rejection(source.frame(1, stopped))).toMatchObject({ code: 'ABORT_ERR' })
    expect((await source.frame(1))!.data[0]).toBe(2)
    expect(await rejection(openSource([grey(1)], { signal: stopped }))).toMatchObject({ code: 'ABORT_ERR' })
  })

  it.each<[string, unknown, string, string]>([
    ['nothing', [], 'ERR_INVALID_VIDEO', 'at least one frame'],
    ['one image', grey(1), 'ERR_INVALID_ARGUMENT', 'as a list'],
    ['bytes', new Uint8Array(9), 'ERR_INVALID_ARGUMENT', 'write the bytes'],
    ['a number', 7, 'ERR_INVALID_ARGUMENT', 'got 7'],
    ['null', null, 'ERR_INVALID_ARGUMENT', 'got null'],
    [
      'a stream of bytes',
      Readable.from([Buffer.alloc(3)], { objectMode: false }),
      'ERR_INVALID_ARGUMENT',
      'object mode',
    ],
    ['an address of another kind', new URL('ftp://a/b.mp4'), 'ERR_INVALID_ARGUMENT', 'ftp:'],
  ])('%s is no video', async (_name, video, code, message) => {
    const error = await rejection(openSource(video as VideoInput))
    expect(error).toMatchObject({ name: 'Sam3InputError', code })
    expect(error.message).toContain(message)
  })

  it.each([{ frameRate: 0 }, { frameRate: Number.NaN }, { ffmpeg: '' }, { fps: 3 }])('refuses %j', async (options) => {
    expect(await rejection(openSource([grey(1)], options as object))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
  })
})

describe('an iterable', () => {
  it('is read in order, never ahead, and is told when it is over', async () => {
    const made: number[] = []
    let over = false
    async function* camera() {
      const buffer = grey(0)
      try {
        for (let level = 0; level < 5; level++) {
          made.push(level)
          buffer.data.fill(level) // the same memory for each frame
          yield buffer
        }
      } finally {
        over = true
      }
    }
    const source = await openSource(camera(), { frameRate: 5 })
    expect(source).toMatchObject({ width: 8, frameCount: undefined, frameRate: 5, randomAccess: false })
    const first = (await source.frame(0))!
    expect((await source.frame(0))!.data).toBe(first.data)
    expect(made).toEqual([0])
    expect((await source.frame(2))!.data[0]).toBe(2)
    expect(first.data[0]).toBe(0)
    expect(made).toEqual([0, 1, 2])
    expect(await rejection(source.frame(1))).toMatchObject({ code: 'ERR_HISTORY_REQUIRED' })
    await source.close()
    expect(over).toBe(true)
    expect(await rejection(source.frame(3))).toMatchObject({ code: 'ERR_STREAM_CLOSED' })
  })

  it('ends; its count is then known', async () => {
    const source = await openSource(new Set([grey(1), grey(2), grey(3)]))
    expect(await levels(source)).toEqual([1, 2, 3])
    expect(source.frameCount).toBe(3)
    expect(await source.frame(3)).toBeUndefined()
    expect((await rejection(source.frame(0))).code).toBe('ERR_HISTORY_REQUIRED')
  })

  it('bad frames are told one by one, what it throws is passed on', async () => {
    async function* camera() {
      yield new Uint8Array(3)
      yield grey(1)
      yield grey(2, 5, 5)
      yield 'none.png'
      yield grey(4)
      throw new Error('unplugged')
    }
    const source = await openSource(camera())
    expect((await rejection(source.frame(0))).code).toBe('ERR_INVALID_FRAME')
    expect((await source.frame(1))!.data[0]).toBe(1)
    expect((await rejection(source.frame(2))).code).toBe('ERR_FRAME_SIZE')
    expect((await rejection(source.frame(3))).code).toBe('ERR_INVALID_FRAME')
    expect((await source.frame(4))!.data[0]).toBe(4)
    for (let again = 0; again < 2; again++) expect((await rejection(source.frame(5))).message).toBe('unplugged')
    await source.close()
    async function* nothing() {}
    expect(await rejection(openSource(nothing()))).toMatchObject({ code: 'ERR_INVALID_VIDEO' })
  })

  it('who stops waiting loses no frame; closing ends who waits, also for a frame that never comes', async () => {
    const asked = [1, 2].map(() => deferred<void>())
    const sent = [1, 2].map(() => deferred<RawImage>())
    async function* camera() {
      yield grey(0)
      for (const [index, { promise }] of sent.entries()) {
        asked[index]!.resolve()
        yield await promise
      }
    }
    const source = await openSource(camera())
    const stop = new AbortController()
    const waiting = rejection(source.frame(1, stop.signal))
    await asked[0]!.promise
    stop.abort()
    expect(await waiting).toMatchObject({ code: 'ABORT_ERR' })
    sent[0]!.resolve(grey(9))
    expect((await source.frame(1))!.data[0]).toBe(9)
    const never = rejection(source.frame(2))
    await asked[1]!.promise
    await source.close()
    expect(await never).toMatchObject({ code: 'ERR_STREAM_CLOSED' })
  })

  it('takes a Node.js stream of images', async () => {
    const source = await openSource(Readable.from([await encoded(1), await encoded(2)]))
    expect(await levels(source)).toEqual([1, 2])
  })
})

describe('live frames', () => {
  it('drops the oldest when there is no room', async () => {
    const live = new PushSource({ width: 8, height: 6 })
    expect(await openSource(live)).toBe(live)
    for (let level = 0; level < 5; level++) expect(await live.push(grey(level))).toBe(true)
    expect(live.stats).toEqual({ pushed: 5, dropped: 3, buffered: 2 })
    const frame = (await live.frame(0))!
    expect([frame.index, frame.data[0]]).toEqual([3, 3])
    expect((await live.frame(3))!.data).toBe(frame.data)
    live.end()
    expect((await live.frame(4))!.index).toBe(4)
    expect(await live.frame(5)).toBeUndefined()
    expect((await rejection(live.frame(2))).code).toBe('ERR_HISTORY_REQUIRED')
    expect(await rejection(live.push(grey(0)))).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_STREAM_CLOSED' })
  })

  it('pushes at the same time stay in their order, and are bounded while they are decoded', async () => {
    const live = new PushSource({ maxBuffered: 3 })
    const images = await Promise.all([1, 2, 3, 4, 5].map((level) => encoded(level)))
    const kept = await Promise.all(images.map((image) => live.push(image)))
    expect(kept.filter(Boolean)).toHaveLength(3)
    expect(live.stats).toEqual({ pushed: 5, dropped: 2, buffered: 3 })
    const seen = []
    for (let next = 0; next < 5; ) {
      const frame = (await live.frame(next))!
      seen.push(frame.index)
      next = frame.index + 1
    }
    expect(seen).toEqual([2, 3, 4])
  })

  it('blocks until there is room where nothing may be lost', async () => {
    const live = new PushSource({ maxBuffered: 2, overflow: 'block' })
    const pushed: number[] = []
    const pushes = [0, 1, 2, 3, 4].map((level) => live.push(grey(level)).then(() => pushed.push(level)))
    await Promise.all(pushes.slice(0, 2))
    await setImmediate()
    expect(pushed).toEqual([0, 1])
    live.end()
    const seen = []
    for (let index = 0; ; index++) {
      const frame = await live.frame(index)
      if (!frame) break
      seen.push(frame.data[0])
      await setImmediate()
    }
    await Promise.all(pushes)
    expect(seen).toEqual([0, 1, 2, 3, 4])
    expect(live.stats).toEqual({ pushed: 5, dropped: 0, buffered: 0 })
  })

  it('copies raw pixels, and counts time from the first frame', async () => {
    const live = new PushSource()
    const buffer = grey(1)
    const begun = performance.now()
    await live.push(buffer)
    const pushed = performance.now()
    buffer.data.fill(2)
    await sleep(30)
    const again = performance.now()
    await live.push(buffer)
    const ended = performance.now()
    const [first, second] = [(await live.frame(0))!, (await live.frame(1))!]
    expect([first.data[0], second.data[0]]).toEqual([1, 2])
    expect(first.timestamp).toBe(0)
    expect(1000 * second.timestamp).toBeGreaterThan(again - pushed - 1)
    expect(1000 * second.timestamp).toBeLessThan(ended - begun + 1)
    await live.push(buffer, 77)
    expect((await live.frame(2))!.timestamp).toBe(77)
  })

  it('a bad frame fails its push, and nothing else', async () => {
    const live = new PushSource({ maxBuffered: 4 })
    await live.push(grey(1))
    expect(await rejection(live.push(new Uint8Array(9)))).toMatchObject({ code: 'ERR_INVALID_IMAGE' })
    expect(await rejection(live.push(grey(1, 9, 9)))).toMatchObject({ code: 'ERR_FRAME_SIZE' })
    await live.push(grey(4))
    expect(live.stats).toEqual({ pushed: 4, dropped: 2, buffered: 2 })
    expect([(await live.frame(0))!.index, (await live.frame(1))!.index]).toEqual([0, 3])
  })

  it('opening waits for the size; waiting can be given up', async () => {
    const live = new PushSource()
    const stop = new AbortController()
    const impatient = rejection(openSource(live, { signal: stop.signal }))
    const patient = openSource(live)
    stop.abort()
    expect(await impatient).toMatchObject({ code: 'ABORT_ERR' })
    await live.push(grey(1))
    expect(await patient).toMatchObject({ width: 8, height: 6, frameCount: undefined, randomAccess: false })
    const frame = rejection(live.frame(1, AbortSignal.timeout(10)))
    expect(await frame).toMatchObject({ code: 'ABORT_ERR' })
    const empty = new PushSource()
    empty.end()
    expect(await rejection(openSource(empty))).toMatchObject({ code: 'ERR_INVALID_VIDEO' })
  })

  it('closing ends who waits on both sides', async () => {
    const live = new PushSource({ maxBuffered: 1, overflow: 'block' })
    await live.push(grey(1))
    const blocked = live.push(grey(2))
    const other = new PushSource()
    const waiting = rejection(other.frame(0))
    await Promise.all([live.close(), other.close(), live.close()])
    expect(await blocked).toBe(false)
    expect(await waiting).toMatchObject({ code: 'ERR_STREAM_CLOSED' })
    expect(await rejection(live.push(grey(1)))).toMatchObject({ code: 'ERR_STREAM_CLOSED' })
  })

  it.each([{ maxBuffered: 0 }, { overflow: 'grow' }, { width: 8 }, { size: 2 }])('refuses %j', (options) => {
    expect(() => new PushSource(options as object)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }))
  })
})

it.skipIf(without('ffmpeg'))(
  'the program ends by itself though a source was left open, and takes ffmpeg with it',
  () => {
    const clip = path.join(folder, 'left.mp4')
    ffmpeg('-f', 'lavfi', '-i', 'testsrc=s=640x480:d=10', '-pix_fmt', 'yuv420p', clip)
    const program = `
    import { openSource } from ${JSON.stringify(pathToFileURL(`${repositoryRoot}/dist/index.js`).href)}
    const source = await openSource(${JSON.stringify(clip)})
    console.log((await source.frame(3)).width)`
    const run = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { timeout: 20_000 })
    expect(run.stdout.toString(), run.stderr.toString()).toBe('640\n')
    expect(run.status).toBe(0)
    const commands = readdirSync('/proc').flatMap((id) => {
      try {
        return /^\d+$/.test(id) ? [readFileSync(`/proc/${id}/cmdline`, 'utf8')] : []
      } catch {
        return [] // it ended meanwhile
      }
    })
    expect(commands.filter((command) => command.includes(clip))).toEqual([])
  },
)
