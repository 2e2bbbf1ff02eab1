/** What ffprobe knows of a video without decoding it. */
import { Sam3InputError } from '../../base/errors.js'
import { checkSignal } from '../../base/checks.js'
import type { FoundProgram } from '../ffmpeg/find.js'
import type { MediaInput } from '../ffmpeg/input.js'
import { failureOf, runToEnd } from '../ffmpeg/process.js'
import { notWorking } from '../ffmpeg/version.js'

/** A video before its first frame is decoded. */
export interface Probe {
  /** Frames per second where they have a fixed rate. */
  frameRate: number | undefined
  /** What the file promises; may be wrong. */
  frameCount: number | undefined
  /** Seconds of the beginning of the file, from which ffmpeg counts where to seek. */
  startTime: number
  /** Whether it has an end, so that one can go back in it. */
  isFinite: boolean
  /** Seconds of every frame in order, where the file was read through for them. */
  times: number[] | undefined
}

/** Larger files are not read through for the times of their frames: it takes a second for each gigabyte or so. */
const SCANNED_BYTES = 512 * 2 ** 20
/** Timestamps of a file with a fixed rate may be rounded to milliseconds. */
const JITTER = 0.0021

/** The values of one line of `-of compact`: `stream|codec_name=h264|time_base=1/90000`. */
function fields(line: string): Map<string, string> {
  return new Map(
    line.split('|').flatMap((part): [string, string][] => {
      const at = part.indexOf('=')
      return at < 0 ? [] : [[part.slice(0, at), part.slice(at + 1)]]
    }),
  )
}

/** `30000/1001` as a number; undefined for 0/0 and what is no ratio. */
function ratio(text: string | undefined): number | undefined {
  const [above, below = 1] = (text ?? '').split('/').map(Number)
  const value = above! / below
  return Number.isFinite(value) && value > 0 ? value : undefined
}

function isEven(times: readonly number[]): boolean {
  let [least, most] = [Number.POSITIVE_INFINITY, 0]
  for (let index = 1; index < times.length; index++) {
    const gap = times[index]! - times[index - 1]!
    least = Math.min(least, gap)
    most = Math.max(most, gap)
  }
  return most - least <= JITTER
}

/** Packet times in ticks, as the times of frames in seconds; undefined where they cannot be told from them. */
function frameTimes(ticks: number[], tick: number | undefined): number[] | undefined {
  if (!tick || ticks.length === 0 || !ticks.every(Number.isFinite)) return undefined
  // Frames are stored in the order of decoding.
  const times = ticks.sort((a, b) => a - b).map((value) => value * tick)
  return times.every((time, index) => index === 0 || time > times[index - 1]!) ? times : undefined
}

/**
 * Asks ffprobe about the first video stream of a file.
 * @throws Sam3InputError `ERR_INVALID_VIDEO`, Sam3EnvironmentError `ERR_FFMPEG_NOT_FOUND`, Sam3RuntimeError
 * `ERR_FFMPEG_FAILED` where ffprobe crashes, Sam3AbortError
 */
export async function probe(ffprobe: FoundProgram, input: MediaInput, signal?: AbortSignal): Promise<Probe> {
  const scanned = input.size !== undefined && input.size <= SCANNED_BYTES
  const entries = [
    'program_version=version',
    'stream=index,time_base,avg_frame_rate,r_frame_rate,nb_frames',
    'format=start_time,duration',
    ...(scanned ? ['packet=pts,flags'] : []),
  ]
  const ticks: number[] = []
  let stream: Map<string, string> | undefined
  let format = new Map<string, string>()
  let isFfprobe = false
  const { exit, lastLines } = await runToEnd(
    ffprobe.path,
    ['-v', 'error', '-select_streams', 'V:0', '-show_entries', entries.join(':'), '-of', 'compact', ...input.args],
    (line) => {
      const values = fields(line)
      // A packet that is only there to be decoded (before a cut) shows no frame.
      if (line.startsWith('packet|') && !values.get('flags')?.includes('D')) ticks.push(Number(values.get('pts')))
      else if (line.includes('stream|') && values.has('time_base')) stream = values
      else if (line.startsWith('format|')) format = values
      // Said first of all, also where the file cannot be read.
      isFfprobe ||= values.has('version')
    },
    signal,
  )
  checkSignal(signal)
  if (exit.signal) throw failureOf(ffprobe.path, exit, lastLines, `reading ${input.name}`)
  if (!isFfprobe) throw notWorking('ffprobe', ffprobe, lastLines)
  if (exit.code !== 0 || !stream) throw noVideo(input.name, lastLines)
  if (scanned && ticks.length === 0) throw noFrames(input.name, lastLines)

  const times = frameTimes(ticks, ratio(stream.get('time_base')))
  const average = ratio(stream.get('avg_frame_rate'))
  const isFixed =
    times && times.length > 1 ? isEven(times) : stream.get('avg_frame_rate') === stream.get('r_frame_rate')
  const inHeader = Number(stream.get('nb_frames')) || 0
  // A file that was cut off holds less than its header says.
  const count = scanned && lastLines === '' ? ticks.length : Math.max(ticks.length, inHeader)
  return {
    frameRate: isFixed ? (average ?? ratio(stream.get('r_frame_rate'))) : undefined,
    frameCount: count > 0 ? count : undefined,
    startTime: Number(format.get('start_time')) || 0,
    isFinite: input.size !== undefined || Number(format.get('duration')) > 0,
    times,
  }
}

function noVideo(name: string, lastLines: string): Sam3InputError {
  const said = lastLines ? ` ffprobe says:\n${lastLines}\n` : ''
  return new Sam3InputError('ERR_INVALID_VIDEO', `${name} is no video that ffmpeg can read.${said}`, {
    fix: 'Check that it is complete and has a video stream; a file that is still being written, or was cut off, cannot be read.',
  })
}

/** What is wrong with a video of which not one frame could be decoded. */
export function noFrames(name: string, lastLines: string): Sam3InputError {
  const said = lastLines ? ` ffmpeg says:\n${lastLines}\n` : ''
  return new Sam3InputError('ERR_INVALID_VIDEO', `Not one frame of ${name} can be decoded.${said}`, {
    fix: 'Check that it is complete and that your ffmpeg has a decoder for it.',
  })
}
