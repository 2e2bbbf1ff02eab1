/** `sam3-node track`: some of it as a user runs it, the built program in a process of its own; the rest within this one. */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { objectPrompts, parseMarkedBox, parseMarkedPoint } from '../../lib/cli/track/prompts.js'
import { formatSpeed } from '../../lib/cli/track/progress.js'
import { buildSam3VideoModel, type CocoVideoJson, Mask } from '../../lib/index.js'
import { ffmpeg, probeClip } from '../support/clips.js'
import { type Outcome, runHere } from '../support/command-line.js'
import { configOf, modelWithConfig } from '../support/model-folder.js'
import { without } from '../support/without.js'
import { goldenModels, goldenRoot, repositoryRoot } from '../support/paths.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-track-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string) => path.join(folder, name)
const clip = `${goldenRoot}/images/clip_160x120`

/** In a process of its own. */
function start(args: string[]): { child: ChildProcess; outcome: Promise<Outcome> } {
  const child = spawn(process.execPath, [`${repositoryRoot}/dist/cli.js`, ...args], { cwd: folder })
  let [stdout, stderr] = ['', '']
  child.stdout!.on('data', (text) => (stdout += text))
  child.stderr!.on('data', (text) => (stderr += text))
  const outcome = new Promise<Outcome>((resolve) =>
    child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr })),
  )
  return { child, outcome }
}
const run = (...args: string[]) => start(args).outcome
const sam3 = (...args: string[]) => runHere(args, { cwd: folder })

const model = ['--model', goldenModels.safetensors, '--device', 'cpu', '--dtype', 'float32']
const json = (name: string): CocoVideoJson => JSON.parse(readFileSync(file(name), 'utf8'))

describe('sam3-node track', () => {
  it('teaches by --help', async () => {
    const { code, stdout } = await sam3('track', '--help')
    expect(code).toBe(0)
    for (const word of [
      'Examples:',
      '--text',
      '--point',
      '--box',
      '--json',
      '--mot',
      '--mot-gt',
      '--hotstart-delay',
      '--model',
      'Ctrl-C',
    ])
      expect(stdout).toContain(word)
    expect((await sam3('--help')).stdout).toContain('track')
  })

  it.each<[string, string[], string, (1 | 2)?]>([
    ['no question', [clip], 'ERR_EMPTY_PROMPT'],
    ['a blank text', [clip, '--text', 'dog', '--text', ' '], 'Write a noun phrase'],
    ['a point without a frame', [clip, '--point', '10,20'], 'frame:x,y'],
    ['a box of three numbers', [clip, '--box', '0:1,2,3'], 'frame:x0,y0,x1,y1'],
    ['a threshold of 2', [clip, '--text', 'dog', '--threshold', '2'], 'from 0 to 1'],
    ['a setting without a value', [clip, '--text', 'dog', '--set', 'detNmsThresh'], 'name=value'],
    ['an unknown setting', [clip, '--text', 'dog', '--set', 'nms=1'], "has no key 'nms'"],
    ['an unusable setting', [clip, '--text', 'dog', '--set', 'detNmsThresh=7'], 'ERR_INVALID_ARGUMENT'],
    ['a video that is not there', ['none.mp4', '--text', 'dog'], 'ERR_VIDEO_NOT_FOUND', 1],
    ['an address without a host', ['http://', '--text', 'dog'], 'no complete address'],
    ['writing over the video', [clip, '--text', 'dog', '--out', clip], 'written over'],
    ['writing one file twice', [clip, '--text', 'dog', '--json', 'a.txt', '--mot', './a.txt'], 'written over'],
    ['a missing model', [clip, '--text', 'dog', '--json', 'a.json', '--model', './none'], 'ERR_MODEL_NOT_FOUND', 1],
    [
      'an .avi',
      [clip, '--text', 'dog', '--out', 'x.avi'],
      'endings .mp4, .m4v, .mov, .mkv, .webm, or a folder for pictures: x.avi/',
    ],
    [
      'no ffmpeg for a video',
      [clip, '--text', 'dog', '--ffmpeg', '/none', '--model', './none'],
      'ERR_FFMPEG_NOT_FOUND',
      1,
    ],
    [
      '--ffprobe of nothing',
      ['taken', '--text', 'dog', '--json', 'a.json', '--ffprobe', '/none'],
      'the option ffprobe names',
      1,
    ],
  ])('refuses %s', async (_name, args, message, exitCode = 2) => {
    writeFileSync(file('taken'), 'a file')
    const { code, stdout, stderr } = await sam3('track', ...args)
    expect(stderr).toContain(message)
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' })
    expect(stderr).not.toMatch(/ {4}at |report it/)
    expect(readdirSync(folder).filter((name) => name !== 'taken')).toEqual([])
  })

  it('takes settings that go together with what the config of the model says, and refuses those that do not', async () => {
    const [patient, hasty] = [20, 2].map((hotstart_delay) =>
      modelWithConfig(folder, goldenModels.safetensors, {
        ...configOf(goldenModels.safetensors),
        hotstart_delay,
        hotstart_unmatch_thresh: 2,
        hotstart_dup_thresh: 2,
      }),
    )
    const args = ['--text', 'cat', '--max-frames', '3', '--json', 'own.json', '--set', 'hotstartUnmatchThresh=18']
    const track = (own: string) => sam3('track', clip, ...args, '--model', own, '--device', 'cpu', '--dtype', 'float32')
    expect(await track(patient!)).toMatchObject({ code: 0, stderr: '' })
    rmSync(file('own.json'))
    const refused = await track(hasty!)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('hotstartUnmatchThresh 18 is above hotstartDelay 2')
    expect(existsSync(file('own.json'))).toBe(false)
    for (const made of [patient!, hasty!]) rmSync(made, { recursive: true })
  })

  it('a folder of frames to pictures, COCO JSON and MOT text, which say the same', async () => {
    const args = ['--text', 'cat', '--threshold', '0.3', '--max-frames', '18', '--hotstart-delay', '4', '--fps', '10']
    const mot = ['--mot', 'drawn/tracks.txt', '--mot-gt', 'drawn/sequence']
    const outputs = ['--out', 'drawn/pictures', '--json', 'drawn/tracks.json', ...mot]
    const { code, stdout, stderr } = await run('track', clip, ...args, ...outputs, ...model)
    expect(code).toBe(0)
    expect(stderr).toMatch(/^(frame \d+ of 18: .*\n)*$/) // said every ten seconds
    expect(stdout).toMatch(
      /^18 frames in [\d.]+ s \([\d.]+ .*\): \d+ x cat\nWritten: drawn\/pictures, drawn\/tracks.json, drawn\/tracks.txt, drawn\/sequence\n$/,
    )

    const names = Array.from({ length: 18 }, (_, index) => `${String(index).padStart(5, '0')}.jpg`)
    expect(readdirSync(file('drawn/pictures')).sort()).toEqual(names)
    expect(await sharp(file('drawn/pictures/00003.jpg')).metadata()).toMatchObject({ width: 160, height: 120 })

    const { videos, annotations, categories } = json('drawn/tracks.json')
    expect(videos[0]).toMatchObject({ name: 'clip_160x120', width: 160, height: 120, length: 24 })
    expect(videos[0]!.file_names[7]).toBe('clip_160x120/00007.png')
    expect(categories.map(({ name }) => name)).toEqual(['cat'])
    expect(annotations.length).toBeGreaterThan(0)
    const lines = readFileSync(file('drawn/tracks.txt'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(',').map(Number))
    const seen = annotations.flatMap((one) =>
      one.areas.flatMap((area, frame) => (area ? [`${frame + 1} ${one.track_id + 1}`] : [])),
    )
    expect(lines.map(([frame, id]) => `${frame} ${id}`)).toEqual(expect.arrayContaining(seen))
    expect(lines.every((line) => line.length === 10 && line[0]! >= 1 && line[0]! <= 18)).toBe(true)
    const sequence = (name: string) => readFileSync(file(`drawn/sequence/${name}`), 'utf8')
    const truth = lines.map((line) => [...line.slice(0, 6), 1, 1, 1].join(','))
    expect(sequence('gt/gt.txt')).toBe(`${truth.join('\n')}\n`)
    expect(sequence('gt/labels.txt')).toBe('cat\n')
    expect(sequence('seqinfo.ini')).toBe(
      '[Sequence]\nname=clip_160x120\nimDir=img1\nframeRate=10\nseqLength=24\nimWidth=160\nimHeight=120\nimExt=.jpg\n',
    )

    // What the library gives for the same question.
    const video = await buildSam3VideoModel({ model: goldenModels.safetensors, device: 'cpu', dtype: 'float32' })
    const session = await video.startSession(clip, {
      newDetThresh: 0.3,
      scoreThresholdDetection: 0.3,
      hotstartDelay: 4,
    })
    await session.addPrompt({ frameIndex: 0, text: 'cat' })
    for await (const { frameIndex, objects } of session.propagate({ maxFrames: 18 })) {
      const rows = lines.filter(([frame]) => frame === frameIndex + 1)
      expect(rows.map(([, id]) => id)).toEqual(objects.map(({ id }) => id + 1))
      for (const { id, mask } of objects) {
        const rle = annotations.find(({ track_id }) => track_id === id)!.segmentations[frameIndex]
        expect(mask.area === 0 ? null : Mask.fromRle(rle!).area).toBe(mask.area === 0 ? null : mask.area)
      }
    }
    await video.dispose()
  })

  it('clicks and boxes follow single objects; a folder needs no ffmpeg', async () => {
    const marks = ['--point', '2:40,40', '--point', '2:90,100:0', '--box', '2:90,20,140,80', '--point', '4:44,44']
    const { code, stdout } = await sam3(
      'track',
      clip,
      ...marks,
      '--max-frames',
      '5',
      '--json',
      'clicks.json',
      '--ffmpeg',
      '/none',
      ...model,
    )
    expect(code).toBe(0)
    expect(stdout).toMatch(/^5 frames .*: 2 x clicked\nWritten: clicks\.json\n$/)
    const { annotations, categories } = json('clicks.json')
    expect(categories.map(({ name }) => name)).toEqual(['object'])
    for (const { track_id, areas } of annotations) {
      expect([1, 2]).toContain(track_id)
      areas.forEach((area, frame) => {
        if (area !== null) expect(frame).toBeGreaterThanOrEqual(2)
      })
    }
  })

  it('says what is wrong with a frame, and keeps what it has; or leaves the frame out', async () => {
    mkdirSync(file('damaged'))
    for (const name of readdirSync(clip).slice(0, 6)) copyFileSync(path.join(clip, name), file(`damaged/${name}`))
    writeFileSync(file('damaged/00003.png'), 'no image')
    const args = ['track', 'damaged', '--point', '0:40,40', ...model]
    const failed = await sam3(...args, '--mot', 'failed.txt', '--out', 'failed')
    expect(failed.code).toBe(1)
    expect(failed.stderr).toContain('The files end with frame 2, because of this:\nERR_INVALID_FRAME: Frame 3')
    expect(readdirSync(file('failed'))).toEqual(['00000.jpg', '00001.jpg', '00002.jpg'])
    expect(existsSync(file('failed.txt'))).toBe(true)
    const skipped = await sam3(...args, '--out', 'skipped', '--on-bad-frame', 'skip')
    expect(skipped.code).toBe(0)
    expect(readdirSync(file('skipped'))).toEqual(['00000.jpg', '00001.jpg', '00002.jpg', '00004.jpg', '00005.jpg'])
  })

  it('without ffmpeg, a video as the result is an error with the fix', async () => {
    const { code, stderr } = await sam3('track', clip, '--point', '0:40,40', '--ffmpeg', '/none', ...model)
    expect(code).toBe(1)
    expect(stderr).toContain('ERR_FFMPEG_NOT_FOUND')
    expect(stderr).toContain('apt install ffmpeg')
  })
})

describe.skipIf(without('ffmpeg'))('sam3-node track with video files', () => {
  beforeAll(() => {
    const times = "setpts='(N+2*floor(N/5))/12.5/TB'"
    const input = ['-framerate', '30000/1001', '-i', `${clip}/%05d.png`]
    ffmpeg(...input, '-c:v', 'libx264', '-pix_fmt', 'yuv420p', file('fixed.mp4'))
    ffmpeg(
      ...input,
      '-vf',
      `${times},crop=159:119`,
      '-vsync',
      'vfr',
      '-c:v',
      'libx264',
      '-pix_fmt',
      'yuv444p',
      file('variable.mp4'),
    )
  })

  it('keeps size and rate', async () => {
    const { code, stdout } = await sam3('track', 'fixed.mp4', '--text', 'cat', '--threshold', '0.3', ...model)
    expect(code).toBe(0)
    expect(stdout).toContain('24 frames in ')
    expect(stdout).toContain('Written: tracked.mp4')
    const [before, after] = [probeClip(file('fixed.mp4')), probeClip(file('tracked.mp4'))]
    expect(after).toMatchObject({ width: 160, height: 120, codec: 'h264', pixels: 'yuv420p' })
    expect(after.times).toHaveLength(24)
    for (const [index, time] of after.times.entries()) expect(time).toBeCloseTo(before.times[index]!, 4)
    // Masks are in the picture.
    const pixels = (name: string) => ffmpeg('-i', file(name), '-pix_fmt', 'rgb24', '-f', 'rawvideo', '-')
    const [plain, drawn] = [pixels('fixed.mp4'), pixels('tracked.mp4')]
    expect(drawn).toHaveLength(plain.length)
    expect(plain.filter((value, at) => Math.abs(value - drawn[at]!) > 30).length).toBeGreaterThan(5000)
  })

  it('an animated image to a .webm; a folder with a dot stays a folder', async () => {
    ffmpeg('-framerate', '10', '-i', `${clip}/%05d.png`, '-frames:v', '5', '-f', 'apng', file('moving.png'))
    const args = ['track', 'moving.png', '--point', '0:40,40', ...model]
    expect(await sam3(...args, '--out', 'moving.WEBM')).toMatchObject({ code: 0 })
    const { times, codec } = probeClip(file('moving.WEBM'))
    expect(codec).toBe('vp9')
    expect(times.map((time) => Math.round(time * 10))).toEqual([0, 1, 2, 3, 4])
    mkdirSync(file('made.mp4'))
    expect(await sam3(...args, '--out', 'made.mp4', '--max-frames', '2')).toMatchObject({ code: 0 })
    expect(readdirSync(file('made.mp4'))).toEqual(['00000.jpg', '00001.jpg'])
  })

  it('keeps odd sizes, and the times of a variable rate', async () => {
    const marks = ['--box', '4:20,20,70,70', '--from', '4', '--max-frames', '12']
    const { code } = await sam3('track', 'variable.mp4', ...marks, '--out', 'varied.mp4', ...model)
    expect(code).toBe(0)
    const [before, after] = [probeClip(file('variable.mp4')), probeClip(file('varied.mp4'))]
    expect(after).toMatchObject({ width: 159, height: 119, pixels: 'yuv444p' })
    expect(after.times).toHaveLength(12)
    for (const [index, time] of after.times.entries())
      expect(time).toBeCloseTo(before.times[index + 4]! - before.times[4]!, 3)
  })

  it('Ctrl-C completes the files with what there is', async () => {
    ffmpeg('-stream_loop', '40', '-i', file('fixed.mp4'), '-c', 'copy', file('long.mp4'))
    const { child, outcome } = start([
      'track',
      'long.mp4',
      '--text',
      'cat',
      '--hotstart-delay',
      '0',
      '--json',
      'long.json',
      '--mot',
      'long.txt',
      '--out',
      'half.mp4',
      ...model,
    ])
    const written = () => existsSync(file('long.txt.part')) && /^3,/m.test(readFileSync(file('long.txt.part'), 'utf8'))
    while (child.exitCode === null && !written()) await sleep(20)
    child.kill('SIGINT')
    const { code, stdout, stderr } = await outcome
    expect(code).toBe(130)
    const frames = Number(/^(\d+) frames/.exec(stdout)![1])
    expect(frames).toBeGreaterThan(0)
    expect(frames).toBeLessThan(984)
    expect(stderr).toContain(`Stopped at frame ${frames - 1}. The files are complete up to there.`)
    expect(probeClip(file('half.mp4')).times).toHaveLength(frames)
    expect(json('long.json').videos[0]!.length).toBe(984)
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([])
  })
})

describe('arguments of track', () => {
  it('reads clicks and boxes with their frames, labels and objects', () => {
    expect(parseMarkedPoint('12:610.5, 380:0@3')).toEqual([{ frame: 12, object: 3, point: [610.5, 380], label: 0 }])
    expect(parseMarkedPoint('0:1,2')).toEqual([{ frame: 0, object: undefined, point: [1, 2], label: 1 }])
    expect(parseMarkedBox('7:-1,0,10,20@2')).toEqual([{ frame: 7, object: 2, box: [-1, 0, 10, 20] }])
    for (const bad of ['1,2', 'x:1,2', '0:1', '0:1,2,3', '0:1,2:5', '0:1,2@', '-1:1,2', ''])
      expect(() => parseMarkedPoint(bad)).toThrow('frame:x,y')
    for (const bad of ['0:1,2,3', '0:1,2,3,4@x', '1,2,3,4']) expect(() => parseMarkedBox(bad)).toThrow('frame:x0,y0')
  })

  it('puts them together by object and frame', () => {
    const points = parseMarkedPoint(
      '5:1,2',
      parseMarkedPoint('0:3,4:0', parseMarkedPoint('0:5,6', parseMarkedPoint('0:7,8@2'))),
    )
    const boxes = parseMarkedBox('0:1,1,9,9', parseMarkedBox('0:2,2,8,8@2'))
    expect(objectPrompts(points, boxes, 1)).toEqual([
      { frameIndex: 0, objectId: 2, points: [[7, 8]], labels: [1], box: [2, 2, 8, 8] },
      {
        frameIndex: 0,
        objectId: 1,
        points: [
          [5, 6],
          [3, 4],
        ],
        labels: [1, 0],
      },
      { frameIndex: 0, objectId: 3, points: [], labels: [], box: [1, 1, 9, 9] },
      { frameIndex: 5, objectId: 1, points: [[1, 2]], labels: [1] },
    ])
  })

  it('writes speeds for people', () => {
    expect([formatSpeed(24.04), formatSpeed(0.2), formatSpeed(0), formatSpeed(Number.NaN)]).toEqual([
      '24.0 fps',
      '5.0 s a frame',
      '',
      '',
    ])
  })
})
