/** Video files through ffmpeg: which frames come, when they are shown, and what happens when something breaks. */
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openSource } from '../../../../lib/video/source/open.js'
import type { FrameSource } from '../../../../lib/video/source/types.js'
import { ffmpeg, ffmpegChildren, makeClip, probeClip, shownNumber } from '../../../support/clips.js'
import { without } from '../../../support/without.js'
import { rejection } from '../../../support/model.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-source-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string) => path.join(folder, name)

/** Reads on to the end. */
async function readAll(source: FrameSource, from = 0): Promise<number[]> {
  const shown: number[] = []
  for (let index = from; ; index++) {
    const frame = await source.frame(index)
    if (!frame) return shown
    expect(frame).toMatchObject({ index, width: source.width, height: source.height })
    expect(frame.data).toHaveLength(source.width * source.height * 3)
    shown.push(shownNumber(frame))
  }
}

/** Reads frames in this order and gives those that cannot be read; the others must be right. */
async function badFrames(source: FrameSource, order: number[]): Promise<number[]> {
  const bad: number[] = []
  for (const index of order) {
    const frame = await source.frame(index).catch((error) => {
      expect(error).toMatchObject({ name: 'Sam3InputError', code: 'ERR_INVALID_FRAME' })
      expect(error.message).toContain("onBadFrame: 'skip'")
      bad.push(index)
    })
    if (frame) expect(shownNumber(frame)).toBe(index)
  }
  return bad
}

const count = (length: number, from = 0) => Array.from({ length }, (_, index) => index + from)

it('a missing ffmpeg is an error with the fix', async () => {
  writeFileSync(file('any.mp4'), 'any')
  const error = await rejection(openSource(file('any.mp4'), { ffmpeg: file('no/ffmpeg') }))
  expect(error).toMatchObject({ name: 'Sam3EnvironmentError', code: 'ERR_FFMPEG_NOT_FOUND' })
  expect(error.message).toContain(`the option ffmpeg names cannot be used: ${file('no/ffmpeg')} is not there`)
  expect(error.message).toMatch(/apt install ffmpeg.*\{ ffmpeg: .* folder of frames/s)
})

describe.skipIf(without('ffmpeg'))('a video file', () => {
  const open = new Set<FrameSource>()
  const opened = async (name: string, options = {}) => {
    const source = await openSource(path.isAbsolute(name) ? name : file(name), options)
    open.add(source)
    return source
  }
  beforeAll(() => {
    makeClip(file('plain.mp4'), { frames: 110 })
  })
  afterEach(async () => {
    await Promise.all([...open].map((source) => source.close()))
    open.clear()
    expect(ffmpegChildren()).toEqual([])
  })

  it('gives every frame once, in order, with its time', async () => {
    const source = await opened('plain.mp4')
    expect(source).toMatchObject({ width: 64, height: 48, frameCount: 110, frameRate: 25, randomAccess: true })
    expect((await source.frame(7))!.timestamp).toBeCloseTo(0.28, 9)
    expect(await readAll(source)).toEqual(count(110))
    expect(await source.frame(110)).toBeUndefined()
    expect(await source.frame(1e9)).toBeUndefined()
  })

  it.each<[string, number[]]>([
    ['backward', count(110).reverse()],
    ['back and forth', [50, 49, 50, 51, 20, 21, 100, 0, 109, 108, 1, 1, 60]],
    ['from the end', [109, 0]],
  ])('gives any frame: %s', async (_name, order) => {
    const source = await opened('plain.mp4')
    for (const index of order) {
      const frame = await source.frame(index)
      expect([frame!.index, shownNumber(frame!)]).toEqual([index, index])
      expect(frame!.timestamp).toBeCloseTo(index / 25, 6)
    }
  })

  it.each<[string, string, string[]]>([
    ['Matroska with a start time', 'late.mkv', ['-c:v', 'libx264', '-output_ts_offset', '5']],
    ['an MPEG transport stream, which cannot be sought', 'stream.ts', ['-c:v', 'libx264']],
    ['B-frames', 'b.mp4', ['-c:v', 'libx264', '-bf', '3']],
    ['MPEG-4 in AVI', 'old.avi', ['-c:v', 'mpeg4', '-q:v', '2']],
    ['raw H.264 without times', 'raw.h264', ['-c:v', 'libx264']],
    [
      'VP8 with hidden frames',
      'hidden.webm',
      ['-c:v', 'libvpx', '-auto-alt-ref', '1', '-lag-in-frames', '16', '-b:v', '2M'],
    ],
    ['VP9', 'nine.webm', ['-c:v', 'libvpx-vp9', '-b:v', '1M', '-cpu-used', '8']],
    ['an animated GIF', 'moving.gif', ['-pix_fmt', 'gray']],
  ])('reads %s', async (_name, name, output) => {
    makeClip(file(name), { frames: 70, output })
    const expected = count(70)
    const source = await opened(name)
    expect(source.width).toBe(64)
    expect(await readAll(source)).toEqual(expected)
    expect(source.frameCount).toBe(expected.length)
    for (const index of [40, 39, 38, 3, 64, 0]) expect(shownNumber((await source.frame(index))!)).toBe(expected[index])
  })

  it('leaves out what is only there to be decoded, before a cut', async () => {
    ffmpeg('-ss', '0.2', '-i', file('plain.mp4'), '-c', 'copy', file('cut-in.mp4'))
    const source = await opened('cut-in.mp4')
    expect(source.frameCount).toBe(105)
    expect(await readAll(source)).toEqual(count(105, 5))
    expect(shownNumber((await source.frame(40))!)).toBe(45)
    expect((await source.frame(40))!.timestamp).toBeCloseTo(1.6, 4)
  })

  it('turns a video as its rotation says', async () => {
    makeClip(file('lying.mp4'), { frames: 6 })
    for (const [sine, name] of [
      [1, 'right.mp4'],
      [-1, 'left.mp4'],
    ] as const) {
      // The matrix of the track's header, written by hand: how ffmpeg is told to write one differs between its versions.
      const clip = readFileSync(file('lying.mp4'))
      const matrix = clip.indexOf('tkhd') + 4 + 40
      for (const [place, value] of [0, sine, 0, -sine, 0].entries())
        clip.writeInt32BE(value * 65536, matrix + 4 * place)
      writeFileSync(file(name), clip)
      const source = await opened(name)
      expect([source.width, source.height]).toEqual([48, 64])
      const frame = (await source.frame(4))!
      const turned = ffmpeg('-i', file(name), '-frames:v', '5', '-pix_fmt', 'rgb24', '-f', 'rawvideo', '-').subarray(
        -9216,
      )
      expect(Buffer.compare(frame.data, turned)).toBe(0)
    }
  })

  it('keeps the times of a variable frame rate', async () => {
    const filter = "setpts='(N+3*floor(N/4))/25/TB'"
    makeClip(file('variable.mp4'), {
      frames: 40,
      filter,
      output: ['-c:v', 'libx264', '-vsync', 'vfr', '-video_track_timescale', '25000'],
    })
    const source = await opened('variable.mp4')
    expect(source.frameRate).toBeUndefined()
    expect(source.frameCount).toBe(40)
    const { times } = probeClip(file('variable.mp4'))
    for (const index of [...count(40), 20, 3]) {
      const frame = (await source.frame(index))!
      expect(shownNumber(frame)).toBe(index)
      expect(frame.timestamp).toBeCloseTo(times[index]!, 5)
      expect(frame.timestamp).toBeCloseTo((index + 3 * Math.floor(index / 4)) / 25, 5)
    }
  })

  it.each([
    [63, 47],
    [64, 47],
    [35, 48],
  ])('reads odd sizes: %d x %d', async (width, height) => {
    makeClip(file('odd.mp4'), { frames: 5, width, height, output: ['-c:v', 'libx264', '-pix_fmt', 'yuv444p'] })
    const source = await opened('odd.mp4')
    expect([source.width, source.height]).toEqual([width, height])
    expect(await readAll(source)).toEqual(count(5))
  })

  it('counts 10,000 frames without reading them, and reads them without keeping them', async () => {
    makeClip(file('long.mp4'), { frames: 2_500, gop: 250, filter: 'scale=320:240:flags=neighbor' })
    ffmpeg('-stream_loop', '3', '-i', file('long.mp4'), '-c', 'copy', file('longer.mp4'))
    const before = process.memoryUsage().rss
    const source = await opened('longer.mp4')
    expect(source.frameCount).toBe(10_000)
    expect(shownNumber((await source.frame(9_999))!)).toBe(2_499)
    expect(shownNumber((await source.frame(4_000))!)).toBe(1_500)
    let peak = 0
    for (let index = 4_000; index < 5_500; index++) {
      expect((await source.frame(index))!.index).toBe(index)
      peak = Math.max(peak, process.memoryUsage().rss)
    }
    // 1,500 frames are 346 MB.
    expect((peak - before) / 2 ** 20).toBeLessThan(200)
  })

  it('stops ffmpeg by back-pressure', async () => {
    makeClip(file('wide.mp4'), { frames: 50, width: 640, height: 480 })
    const source = await opened('wide.mp4')
    await source.frame(0)
    const [pid] = ffmpegChildren()
    const written = () => Number(/^wchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))![1])
    // Until it has stood still for a while: it waits, or it is through.
    const seen = [written()]
    while (seen.length < 6 || seen.at(-6) !== seen.at(-1)) {
      await sleep(50)
      seen.push(written())
    }
    expect(seen.at(-1)).toBeLessThan(6 * 640 * 480 * 3)
  })

  it('one damaged part costs its frames only', async () => {
    // Key frames only: damage does not spread.
    makeClip(file('intra.mp4'), { frames: 30, gop: 1, output: ['-c:v', 'libx264', '-bf', '0'] })
    const bytes = readFileSync(file('intra.mp4'))
    const middle = bytes.indexOf('mdat') + 4 + Math.floor(bytes.readUInt32BE(bytes.indexOf('mdat') - 4) / 2)
    bytes.fill(0xff, middle, middle + 8)
    writeFileSync(file('damaged.mp4'), bytes)
    const source = await opened('damaged.mp4')
    expect(source.frameCount).toBe(30)
    const forward = await badFrames(source, count(30))
    expect(forward.length).toBeGreaterThanOrEqual(1)
    expect(forward.length).toBeLessThanOrEqual(2)
    expect(await badFrames(source, count(30).reverse())).toEqual(forward.reverse())
  })

  it('a file that was cut off: its frames, then an error for each that is missing', async () => {
    makeClip(file('whole.mp4'), { frames: 60, output: ['-c:v', 'libx264', '-bf', '0', '-movflags', '+faststart'] })
    const bytes = readFileSync(file('whole.mp4'))
    const start = bytes.indexOf('mdat')
    writeFileSync(file('cut.mp4'), bytes.subarray(0, start + Math.floor((bytes.length - start) * 0.6)))
    const source = await opened('cut.mp4')
    expect(source.frameCount).toBe(60)
    const outcomes: (number | string)[] = []
    for (const index of count(60)) {
      outcomes.push(
        await source.frame(index).then(
          (frame) => shownNumber(frame!),
          (error) => error.code,
        ),
      )
    }
    const good = outcomes.indexOf('ERR_INVALID_FRAME')
    expect(good).toBeGreaterThan(15)
    expect(outcomes.slice(0, good)).toEqual(count(good))
    expect(new Set(outcomes.slice(good))).toEqual(new Set(['ERR_INVALID_FRAME']))
    expect(await source.frame(60)).toBeUndefined()
    expect(shownNumber((await source.frame(3))!)).toBe(3)
  })

  it('a change of size is an error of these frames', async () => {
    makeClip(file('small.ts'), { frames: 10 })
    makeClip(file('large.ts'), { frames: 10, width: 96, height: 64 })
    writeFileSync(file('both.ts'), Buffer.concat([readFileSync(file('small.ts')), readFileSync(file('large.ts'))]))
    const source = await opened('both.ts')
    expect(shownNumber((await source.frame(9))!)).toBe(9)
    const error = await rejection(source.frame(12))
    expect(error).toMatchObject({ code: 'ERR_FRAME_SIZE' })
    expect(error.message).toContain('Frame 12 is 96 x 64, the video is 64 x 48')
  })

  it.each<[string, () => Buffer | string, string]>([
    ['a text', () => 'this is no video', 'no video that ffmpeg can read'],
    ['a video without its index', () => readFileSync(file('plain.mp4')).subarray(0, 3000), 'moov atom not found'],
    ['nothing', () => '', 'is empty (0 bytes)'],
    ['a sound', () => ffmpeg('-f', 'lavfi', '-i', 'sine=d=1', '-f', 'wav', '-'), 'no video that ffmpeg can read'],
    [
      'a video of no frames',
      () =>
        ffmpeg(
          '-f',
          'lavfi',
          '-i',
          'nullsrc=s=64x48',
          '-frames:v',
          '0',
          '-c:v',
          'libx264',
          '-movflags',
          'frag_keyframe+empty_moov',
          '-f',
          'mp4',
          '-',
        ),
      'Not one frame',
    ],
  ])('refuses %s', async (_name, bytes, message) => {
    writeFileSync(file('bad.mp4'), bytes())
    const error = await rejection(opened('bad.mp4'))
    expect(error).toMatchObject({ name: 'Sam3InputError', code: 'ERR_INVALID_VIDEO' })
    expect(error.message).toContain(message)
  })

  it('ffmpeg that dies is an error with its last words; the next call starts another', async () => {
    makeClip(file('big.mp4'), { frames: 60, width: 640, height: 480 })
    const source = await opened('big.mp4')
    await source.frame(2)
    const [pid] = ffmpegChildren()
    process.kill(pid!, 'SIGKILL')
    const error = await rejection(
      (async () => {
        for (let index = 3; index < 60; index++) await source.frame(index)
      })(),
    )
    expect(error).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_FFMPEG_FAILED' })
    expect(error.message).toContain('was ended by SIGKILL while reading the video')
    expect(shownNumber((await source.frame(30))!)).toBe(30)
  })

  it('tells what an ffmpeg says that fails', async () => {
    const version = 'if [ "$*" = -version ]; then exec ffmpeg -version; fi'
    const script = `#!/bin/sh\n${version}\necho "[error] it is too warm today" >&2\nexit 3\n`
    ffmpeg('-f', 'lavfi', '-i', 'nullsrc=s=64x48', '-frames:v', '1', '-y', file('one.mp4'))
    const bin = mkdtempSync(path.join(folder, 'bin-'))
    writeFileSync(path.join(bin, 'ffmpeg'), script)
    writeFileSync(path.join(bin, 'ffprobe'), '#!/bin/sh\nexec ffprobe "$@"\n')
    chmodSync(path.join(bin, 'ffmpeg'), 0o755)
    chmodSync(path.join(bin, 'ffprobe'), 0o755)
    const error = await rejection(opened('one.mp4', { ffmpeg: path.join(bin, 'ffmpeg') }))
    expect(error).toMatchObject({ code: 'ERR_FFMPEG_FAILED' })
    expect(error.message).toMatch(/exit code 3 while reading the video.*it is too warm today/s)
  })

  it('stops when it is told to, and stays usable', async () => {
    const source = await opened('plain.mp4')
    const stop = new AbortController()
    const far = source.frame(100, stop.signal)
    stop.abort(new Error('enough'))
    expect(await rejection(far)).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' })
    expect(await rejection(source.frame(1, stop.signal))).toMatchObject({ code: 'ABORT_ERR' })
    expect(shownNumber((await source.frame(5))!)).toBe(5)
    expect(await rejection(openSource(file('plain.mp4'), { signal: stop.signal }))).toMatchObject({ code: 'ABORT_ERR' })
    const late = new AbortController()
    const opening = openSource(file('plain.mp4'), { signal: late.signal })
    await setImmediate() // ffprobe has been started, and no process ends within a turn
    late.abort()
    expect(await rejection(opening)).toMatchObject({ code: 'ABORT_ERR' })
  })

  it('calls that wait when it is closed end; closing twice is fine', async () => {
    const source = await opened('plain.mp4')
    const calls = [100, 20, 101].map((index) => rejection(source.frame(index)))
    await source.close()
    for (const call of calls) expect(await call).toMatchObject({ code: 'ERR_STREAM_CLOSED' })
    expect(await rejection(source.frame(0))).toMatchObject({ code: 'ERR_STREAM_CLOSED' })
    await source.close()
  })

  it('serves calls at the same time in their order', async () => {
    const source = await opened('plain.mp4')
    const frames = await Promise.all([3, 60, 0, 61, 2].map((index) => source.frame(index)))
    expect(frames.map((frame) => shownNumber(frame!))).toEqual([3, 60, 0, 61, 2])
  })

  it.each(['-i.mp4', 'http:x.mp4', 'concat:a|b.mp4', '100%.mp4', 'a b\'c".mp4', 'ünï #?.mp4'])(
    'a file named %s is a file',
    async (name) => {
      copyFileSync(file('plain.mp4'), file(name))
      const inside = process.cwd()
      process.chdir(folder)
      try {
        const source = await openSource(name)
        open.add(source)
        expect(shownNumber((await source.frame(1))!)).toBe(1)
      } finally {
        process.chdir(inside)
      }
    },
  )

  it('a playlist on the disk opens no connection', async () => {
    writeFileSync(
      file('list.m3u8'),
      '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n',
    )
    const error = await rejection(opened('list.m3u8'))
    expect(error).toMatchObject({ code: 'ERR_INVALID_VIDEO' })
    expect(error.message).toMatch(/whitelist/i)
  })

  it('an address that is passed as one is read, its password told to nobody', async () => {
    const bytes = readFileSync(file('plain.mp4'))
    const server = createServer((request, response) => {
      const [, from = '0'] = /bytes=(\d+)-/.exec(request.headers.range ?? '') ?? []
      if (!request.url!.endsWith('.mp4')) return response.writeHead(404).end()
      const part = bytes.subarray(Number(from))
      const range = { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}`, 'accept-ranges': 'bytes' }
      response.writeHead(206, { ...range, 'content-length': part.length }).end(part)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    try {
      const source = await openSource(new URL(`http://me:secret@127.0.0.1:${port}/plain.mp4`))
      open.add(source)
      expect(source).toMatchObject({ frameCount: 110, frameRate: 25, randomAccess: true })
      for (const index of [0, 1, 60, 59, 3]) expect(shownNumber((await source.frame(index))!)).toBe(index)
      await source.close()
      const error = await rejection(openSource(new URL(`http://me:secret@127.0.0.1:${port}/none.ts?key=secret`)))
      expect(error).toMatchObject({ code: 'ERR_INVALID_VIDEO' })
      expect(error.message).toContain(`http://127.0.0.1:${port}/none.ts`)
      expect(error.message).not.toContain('secret')
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  it('a string is no address', async () => {
    const error = await rejection(opened(path.join('/', 'http://127.0.0.1/a.mp4')))
    expect(error).toMatchObject({ code: 'ERR_VIDEO_NOT_FOUND' })
    expect(await rejection(openSource('http://127.0.0.1/a.mp4'))).toMatchObject({
      code: 'ERR_VIDEO_NOT_FOUND',
      fix: expect.stringContaining('new URL(address)'),
    })
  })
})
