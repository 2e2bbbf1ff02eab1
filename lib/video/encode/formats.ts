/** Kinds of videos that can be written, and how ffmpeg encodes them. */
import { extname } from 'node:path'
import { Sam3InputError, Sam3RuntimeError } from '../../base/errors.js'
import { findProgram, type FoundProgram, type ProgramOptions } from '../ffmpeg/find.js'
import { runToEnd } from '../ffmpeg/process.js'
import { type ProgramVersion, programVersion } from '../ffmpeg/version.js'

/** An encoder of ffmpeg. */
export interface Encoder {
  name: string
  /** Its options. `isOdd`: a side of the picture is odd. `quality`: as x264 counts it, 0 to 51. */
  args(isOdd: boolean, quality: number): string[]
}

const X264: Encoder = {
  name: 'libx264',
  // Colours at half the resolution, which every player reads, need even sides; a video of odd ones keeps its size and full colours.
  args: (isOdd, quality) => ['-preset', 'veryfast', '-crf', `${quality}`, '-pix_fmt', isOdd ? 'yuv444p' : 'yuv420p'],
}
const MPEG4: Encoder = {
  name: 'mpeg4',
  args: (_, quality) => ['-q:v', `${Math.max(1, Math.round(quality / 6))}`, '-pix_fmt', 'yuv420p'],
}
/** VP8 and VP9 count to 63, and need no even sides. */
const vpx = (name: string, least: number, options: string[]): Encoder => ({
  name,
  args: (_, quality) => [
    ...['-crf', `${Math.max(least, Math.round((quality * 63) / 51))}`, ...options],
    ...['-deadline', 'realtime', '-cpu-used', '6', '-pix_fmt', 'yuv420p'],
  ],
})
const VP9 = vpx('libvpx-vp9', 0, ['-b:v', '0', '-row-mt', '1'])
const VP8 = vpx('libvpx', 4, ['-b:v', '50M'])

interface Format {
  /** ffmpeg's name of it. */
  name: string
  /** In the order of preference; what is not in the ffmpeg of the machine is passed over. */
  encoders: readonly Encoder[]
  /** Options of the file. `timescale`: ticks in a second. */
  args(timescale: number): string[]
}

const mp4 = (name: string): Format => ({
  name,
  encoders: [X264, MPEG4],
  args: (timescale) => ['-video_track_timescale', `${timescale}`, '-movflags', '+faststart'],
})

const FORMATS: Readonly<Record<string, Format>> = {
  '.mp4': mp4('mp4'),
  '.m4v': mp4('mp4'),
  '.mov': mp4('mov'),
  '.mkv': { name: 'matroska', encoders: [X264, MPEG4], args: () => [] },
  '.webm': { name: 'webm', encoders: [VP9, VP8], args: () => [] },
}

/** The endings of files that can be written. */
export const VIDEO_ENDINGS: readonly string[] = Object.keys(FORMATS)

/** Whether a file is one that can be written, by its name. */
export function isWritableVideo(file: string): boolean {
  return extname(file).toLowerCase() in FORMATS
}

/** How a file is written on this machine. */
export interface Recipe {
  format: Format
  encoder: Encoder
  ffmpeg: FoundProgram
  version: ProgramVersion
}

/**
 * Finds out whether and how a file can be written, by its name.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`, Sam3EnvironmentError `ERR_FFMPEG_NOT_FOUND`, Sam3RuntimeError
 * `ERR_FFMPEG_FAILED` where ffmpeg has no encoder for it
 */
export async function recipeFor(file: string, programs: ProgramOptions): Promise<Recipe> {
  const format = FORMATS[extname(file).toLowerCase()]
  if (!format) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${file} is no kind of video that can be written.`, {
      fix: `Use one of the endings ${VIDEO_ENDINGS.join(', ')}.`,
    })
  }
  const ffmpeg = findProgram('ffmpeg', programs)
  const [version, names] = await Promise.all([programVersion('ffmpeg', ffmpeg), encoderNames(ffmpeg.path)])
  const encoder = format.encoders.find(({ name }) => names.has(name))
  if (encoder) return { format, encoder, ffmpeg, version }
  const wanted = format.encoders.map(({ name }) => name)
  throw new Sam3RuntimeError('ERR_FFMPEG_FAILED', `${ffmpeg.path} has no encoder for ${extname(file)} files.`, {
    fix: `Install an ffmpeg with ${wanted.join(' or ')}, choose another of the endings ${VIDEO_ENDINGS.join(', ')}, or write a folder of pictures.`,
  })
}

async function encoderNames(ffmpeg: string): Promise<Set<string>> {
  const names = new Set<string>()
  await runToEnd(ffmpeg, ['-hide_banner', '-encoders'], (line) => {
    const name = /^ V\S+ (\S+)/.exec(line)?.[1]
    if (name) names.add(name)
  })
  return names
}
