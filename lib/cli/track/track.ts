/** `sam3-node track`: a video in; a video with masks and ids, COCO JSON and MOT text out. */
import { statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { Sam3InputError } from '../../base/errors.js'
import { loadNamedFonts } from '../../label/fonts.js'
import { UNNAMED } from '../../result/categories.js'
import { recipeFor, VIDEO_ENDINGS } from '../../video/encode/formats.js'
import { checkEachSessionOption, type SessionOptions } from '../../video/session/options.js'
import type { FrameResult } from '../../video/session/results.js'
import type { VideoSession } from '../../video/session/session.js'
import { frameFiles } from '../../video/source/list.js'
import { openSource } from '../../video/source/open.js'
import { buildSam3VideoModel } from '../../video/video-model.js'
import { collect, parseCount, parseNumber, parsePhrase } from '../common/arguments.js'
import { INTERRUPTED_EXIT_CODE, interruptible } from '../common/interrupt.js'
import { KeptFrames } from '../../video/source/kept-frames.js'
import { addModelOptions, chosenModel, type ModelChoice } from '../common/model-options.js'
import { isVideoOutput } from '../common/outputs.js'
import { startPullView } from '../common/pull-progress.js'
import { formatSpeed, TrackView } from './progress.js'
import { type Mark, objectPrompts, parseMarkedBox, parseMarkedPoint } from './prompts.js'
import { checkOutputs, openResults, type TrackOutputs, type TrackResults } from './results.js'

/** What the options come to. */
interface TrackOptions extends ModelChoice {
  text?: string[]
  point?: Mark[]
  box?: Mark[]
  from?: number
  maxFrames?: number
  threshold?: number
  hotstartDelay?: number
  maxObjects?: number
  onBadFrame?: 'fail' | 'skip'
  set?: Record<string, unknown>
  out?: string
  json?: string
  mot?: string
  motGt?: string
  drawBoxes?: boolean
  labels: boolean
  font?: string[]
  quality?: number
  fps?: number
  ffmpeg?: string
  ffprobe?: string
}

/** Where the picture goes when nothing else is said. */
const DEFAULT_VIDEO = 'tracked.mp4'
/** Where the ids of clicked objects begin beside texts, whose objects count from 0. */
const CLICKED_BESIDE_TEXTS = 1000

const EXAMPLES = `
Examples:
  Every dog of a video, followed with its id; writes tracked.mp4
    $ sam3-node track park.mp4 --text dog
  Two concepts in a folder of frames, as COCO JSON and MOT text, and pictures into a folder
    $ sam3-node track frames --text "yellow school bus" --text person --json tracks.json --mot tracks.txt --out drawn
  The object under a click on frame 0, without the part under the other, which was clicked on frame 12
    $ sam3-node track park.mp4 --point 0:520,375 --point 12:610,380:0
  Two objects by boxes around them
    $ sam3-node track park.mp4 --box 0:10,20,200,300 --box 0:400,50,480,240
  Ten seconds of a long recording, every result at once
    $ sam3-node track day.mkv --text car --from 90000 --max-frames 250 --hotstart-delay 0

Coordinates are pixels of the video as it is shown. Ctrl-C ends it early and completes the files with what there is.
`

/** The command, for the program to add. */
export function trackCommand(): Command {
  const command = new Command('track')
    .description('Follow objects through a video, by text, by clicks, or by boxes around them.')
    .argument('<video>', 'a video file, an animated image, a folder of frames, or an address that ffmpeg can read')
    .optionsGroup('What to follow:')
    .option('-t, --text <phrase>', 'a short noun phrase; repeat it for several concepts', parsePhrase)
    .option(
      '-p, --point <frame:x,y[:0][@id]>',
      'a click on the object, or beside it with :0; all without @id are about one object; repeatable',
      parseMarkedPoint,
    )
    .option(
      '-b, --box <frame:x0,y0,x1,y1[@id]>',
      'a box around an object; each without @id is another object; repeatable',
      parseMarkedBox,
    )
    .option('--from <frame>', 'begin there (default: the first frame with a click or box, else 0)', parseIndex)
    .option('--max-frames <n>', 'at most this many frames (default: to the end)', parseCount)
    .optionsGroup('How to follow:')
    .option(
      '--threshold <score>',
      'follow what is detected with a score of at least this (newDetThresh, and scoreThresholdDetection where that is higher; default: that of the model, 0.7)',
      parseNumber(0, 1),
    )
    .option(
      '--hotstart-delay <frames>',
      'hold results back so long, to drop objects that prove false (default: 15)',
      parseIndex,
    )
    .option('--max-objects <n>', 'at most this many objects for each text (default: no limit)', parseCount)
    .addOption(
      new Option('--on-bad-frame <what>', 'end at a damaged frame, or leave it out (default: fail)').choices([
        'fail',
        'skip',
      ]),
    )
    .option('--set <name=value>', 'any option of startSession by its name; repeatable', parseSetting)
    .optionsGroup('Results:')
    .option(
      '-o, --out <file|folder>',
      `a video (${VIDEO_ENDINGS.join(', ')}), or a folder for pictures (default: ${DEFAULT_VIDEO}; with --json, --mot or --mot-gt: none)`,
    )
    .option('--json <file>', 'write COCO JSON for videos (YouTube-VIS)')
    .option('--mot <file>', 'write text of the MOT challenge, as the results of a tracker')
    .option(
      '--mot-gt <folder>',
      'write a sequence of the MOT challenge, as ground truth: gt/gt.txt, gt/labels.txt, seqinfo.ini',
    )
    .option('--draw-boxes', 'draw a rectangle around each object')
    .option('--no-labels', 'draw no names and ids')
    .option('--font <file>', 'draw names with this font where it has the letters; repeatable', collect)
    .option('--quality <crf>', 'of the video: 0 (best) to 51 (default: 18)', parseNumber(0, 51))
    .optionsGroup('Video:')
    .option('--fps <rate>', 'frames per second of a folder of frames (default: 30)', parseNumber(0.001, 1e6))
    .option('--ffmpeg <program>', 'where ffmpeg is (default: FFMPEG_PATH, an npm package that brings it, the PATH)')
    .option('--ffprobe <program>', 'where ffprobe is (default: FFPROBE_PATH, beside ffmpeg, an npm package, the PATH)')
  return addModelOptions(command).addHelpText('after', EXAMPLES).action(run)
}

function parseIndex(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError('It must be a whole number from 0.')
  }
  return value
}

function parseSetting(text: string, previous: Record<string, unknown> = {}): Record<string, unknown> {
  const [, name, value] = /^(\w+)=(.*)$/.exec(text) ?? []
  if (name === undefined || value === undefined || value === '') {
    throw new InvalidArgumentError('Write it as name=value, such as detNmsThresh=0.2.')
  }
  const known: Record<string, unknown> = { true: true, false: false }
  return { ...previous, [name]: known[value] ?? (Number.isFinite(Number(value)) ? Number(value) : value) }
}

async function run(name: string, options: TrackOptions): Promise<void> {
  const { text = [], point = [], box = [], json, mot, motGt } = options
  if (text.length + point.length + box.length === 0) {
    throw new Sam3InputError('ERR_EMPTY_PROMPT', 'It is not said what to follow.', {
      fix: 'Add --text "a noun phrase", --point frame:x,y or --box frame:x0,y0,x1,y1.',
    })
  }
  const out = options.out ?? (json || mot || motGt ? undefined : DEFAULT_VIDEO)
  const outputs: TrackOutputs = { out, json, mot, motGt }
  checkOutputs(name, outputs)
  checkEachSessionOption(chosenSession(options))
  await loadNamedFonts(options.font) // a font that is none is told now, not after the work
  await interruptible(
    (signal) => trackVideo(name, outputs, options, signal),
    'Stopped before the first result; nothing was written.',
  )
}

async function trackVideo(
  name: string,
  outputs: TrackOutputs,
  options: TrackOptions,
  signal: AbortSignal,
): Promise<void> {
  // Before the model is loaded, which takes a while.
  if (outputs.out !== undefined && isVideoOutput(outputs.out)) await recipeFor(outputs.out, { ffmpeg: options.ffmpeg })
  const source = await openSource(toLocation(name), { ...chosenSource(options), signal })
  const view = new TrackView()
  const frames = new KeptFrames(source, (read) => view.read(read))
  try {
    const download = startPullView()
    const onProgress = download.update
    const model = await buildSam3VideoModel({ ...chosenModel(options), onProgress, signal }).finally(download.stop)
    try {
      const session = await model.startSession(frames, { ...chosenSession(options), signal })
      const results = await openResults(outputs, await settingsOf(name, session, options))
      view.begin(plannedFrames(session, options))
      await track({ session, frames, results, view, options, signal })
    } finally {
      view.stop()
      await model.dispose()
    }
  } finally {
    await source.close()
  }
}

/** Where a video is: an address is one only on the command line, where whoever types it means it. */
function toLocation(name: string): string | URL {
  if (!/^(https?|rtsps?|rtmps?|srt|udp|rtp):\/\//i.test(name)) return name
  if (URL.canParse(name)) return new URL(name)
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} is no complete address.`, {
    fix: 'Write it as rtsp://host/path, or give the path of a file.',
  })
}

function chosenSource({ fps, ffmpeg, ffprobe }: TrackOptions) {
  return { frameRate: fps, ffmpeg, ffprobe }
}

function chosenSession({ threshold, hotstartDelay, maxObjects, onBadFrame, set }: TrackOptions): SessionOptions {
  return {
    newDetThresh: threshold,
    // What is not detected cannot be followed.
    scoreThresholdDetection: threshold !== undefined && threshold < 0.5 ? threshold : undefined,
    hotstartDelay,
    maxNumObjects: maxObjects,
    onBadFrame,
    ...set,
  }
}

async function settingsOf(name: string, session: VideoSession, options: TrackOptions) {
  const { width, height, frameCount, frameRate } = session
  const isFolder = statSync(name, { throwIfNoEntry: false })?.isDirectory() === true
  const files = isFolder ? await frameFiles(name) : []
  return {
    video: basename(isFolder ? resolve(name) : name),
    width,
    height,
    frameCount,
    frameRate,
    // An animation that is alone in its folder has a single name for its frames.
    fileNames: files.length === frameCount ? files.map((file) => basename(file)) : undefined,
    categories: categoriesOf(options),
    quality: options.quality,
    ffmpeg: options.ffmpeg,
    draw: {
      boxes: options.drawBoxes === true,
      fonts: options.font ?? [],
      labels: options.labels ? undefined : (false as const),
    },
  }
}

/** What objects can be called: the same on every run with the same texts, whatever is found. */
function categoriesOf({ text = [], point = [], box = [] }: TrackOptions): string[] {
  return [...new Set([...text, ...(point.length + box.length > 0 ? [UNNAMED] : [])])]
}

function plannedFrames({ frameCount }: VideoSession, { from, maxFrames, text, point = [], box = [] }: TrackOptions) {
  if (frameCount === undefined) return maxFrames
  const marked = text ? [0] : [...point, ...box].map(({ frame }) => frame)
  return Math.min(maxFrames ?? Number.POSITIVE_INFINITY, Math.max(1, frameCount - (from ?? Math.min(...marked))))
}

/** Prompts in the order of their frames; clicks first where a text is on the same frame. */
async function addPrompts(session: VideoSession, options: TrackOptions, signal: AbortSignal): Promise<void> {
  const { text = [], point = [], box = [], from = 0 } = options
  const clicks = objectPrompts(point, box, text.length > 0 ? CLICKED_BESIDE_TEXTS : 1)
  const isLater = ({ frameIndex }: { frameIndex: number }) => text.length > 0 && frameIndex > from
  for (const prompt of clicks.filter((one) => !isLater(one))) await session.addPoints(prompt, { signal })
  for (const phrase of text) {
    const { warnings } = await session.addPrompt({ frameIndex: from, text: phrase }, { signal })
    for (const warning of warnings) process.stderr.write(`${warning}\n`)
  }
  for (const prompt of clicks.filter(isLater)) await session.addPoints(prompt, { signal })
}

/** One run over a video. */
interface TrackRun {
  session: VideoSession
  frames: KeptFrames
  results: TrackResults
  view: TrackView
  options: TrackOptions
  signal: AbortSignal
}

/** Follows what the options say, and writes each result. What ends early is completed with what there is. */
async function track({ session, frames, results, view, options, signal }: TrackRun): Promise<void> {
  const begun = performance.now()
  const names = new Map<number, string>()
  let done = 0
  let last: FrameResult | undefined
  let failure: unknown
  try {
    await addPrompts(session, options, signal)
    const { from: startFrame, maxFrames } = options
    for await (const result of session.propagate({ startFrame, maxFrames, signal })) {
      const frame = frames.take(result.frameIndex)
      await results.add(frame, result)
      for (const { id, prompt } of result.objects) names.set(id, prompt ?? 'clicked')
      view.found(result.objects.length)
      last = result
      done++
    }
  } catch (error) {
    failure = error
  }
  view.stop() // or the last words would be drawn over it
  if (!last) {
    await results.abort()
    throw failure
  }
  // Also what ended early is worth having: it may be hours of work.
  await results.close().catch((error: unknown) => {
    failure ??= error
  })
  const seconds = (performance.now() - begun) / 1000
  process.stdout.write(`${summary(done, seconds, names)}\nWritten: ${results.paths.join(', ') || 'nothing'}\n`)
  if (!failure) return
  if (!signal.aborted) {
    process.stderr.write(`The files end with frame ${last.frameIndex}, because of this:\n`)
    throw failure
  }
  process.stderr.write(`Stopped at frame ${last.frameIndex}. The files are complete up to there.\n`)
  process.exitCode = INTERRUPTED_EXIT_CODE
}

function summary(frames: number, seconds: number, names: ReadonlyMap<number, string>): string {
  const counts = new Map<string, number>()
  for (const name of names.values()) counts.set(name, (counts.get(name) ?? 0) + 1)
  const found = [...counts].map(([name, count]) => `${count} x ${name}`).join(', ') || 'nothing found'
  return `${frames} frame${frames === 1 ? '' : 's'} in ${seconds.toFixed(1)} s (${formatSpeed(frames / seconds)}): ${found}`
}
