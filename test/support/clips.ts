/** Videos made by ffmpeg for the tests, of which every frame shows its own number. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** Runs ffmpeg and gives what it writes to stdout. */
export function ffmpeg(...args: string[]): Buffer {
  return execFileSync('ffmpeg', ['-hide_banner', '-loglevel', 'error', '-nostdin', '-y', ...args], {
    maxBuffer: 1 << 30,
    timeout: 50_000,
  })
}

/** What ffprobe says of the first video stream, decoding every frame. */
export function probeClip(file: string): {
  width: number
  height: number
  times: number[]
  codec: string
  pixels: string
} {
  const text = execFileSync('ffprobe', [
    ...['-v', 'error', '-select_streams', 'V:0', '-show_entries'],
    ...['stream=width,height,codec_name,pix_fmt:frame=best_effort_timestamp_time', '-of', 'json', file],
  ]).toString()
  const { streams, frames } = JSON.parse(text)
  const times = (frames as { best_effort_timestamp_time: string }[]).map((frame) =>
    Number(frame.best_effort_timestamp_time),
  )
  const { width, height, codec_name: codec, pix_fmt: pixels } = streams[0]
  return { width, height, times, codec, pixels }
}

export interface ClipOptions {
  frames: number
  width?: number
  height?: number
  rate?: string
  /** Frames from one key frame to the next. */
  gop?: number
  /** More filters behind the picture. */
  filter?: string
  /** More options before the output. */
  output?: string[]
}

/** Levels of grey that a lossy codec keeps apart. */
const LEVELS = 50
const STEP = 4

/** Writes a video whose left half is as bright as its number modulo 50, the right half as that number divided by 50. */
export function makeClip(file: string, options: ClipOptions): string {
  const {
    frames,
    width = 64,
    height = 48,
    rate = '25',
    gop = 12,
    filter,
    output = ['-c:v', 'libx264', '-preset', 'veryfast'],
  } = options
  const lum = `16+${STEP}*if(lt(X\\,W/2)\\,mod(N\\,${LEVELS})\\,floor(N/${LEVELS}))`
  const picture = `nullsrc=s=${width}x${height}:r=${rate},geq=lum=${lum}:cb=128:cr=128,trim=end_frame=${frames}`
  const args = ['-f', 'lavfi', '-i', filter ? `${picture},${filter}` : picture]
  ffmpeg(...args, '-g', String(gop), '-pix_fmt', 'yuv420p', ...output, file)
  return file
}

/** The number that a frame shows; `rotated` reads it from top to bottom. */
export function shownNumber(frame: { data: Uint8Array; width: number; height: number }, rotated = false): number {
  const { data, width, height } = frame
  const level = (x: number, y: number) => Math.round((data[(y * width + x) * 3 + 1]! * 219) / 255 / STEP)
  const [x, y] = [width >> 1, height >> 1]
  return rotated
    ? level(x, y >> 1) + LEVELS * level(x, y + (y >> 1))
    : level(x >> 1, y) + LEVELS * level(x + (x >> 1), y)
}

/** Ids of ffmpeg and ffprobe processes that this process started and that are not gone, zombies included. */
export function ffmpegChildren(): number[] {
  return readdirSync('/proc').flatMap((id) => {
    if (!/^\d+$/.test(id)) return []
    try {
      const status = readFileSync(`/proc/${id}/stat`, 'utf8')
      const [, name, , parent] = /^\d+ \((.*)\) (\S) (\d+)/.exec(status) ?? []
      return name?.startsWith('ff') && Number(parent) === process.pid ? [Number(id)] : []
    } catch {
      return [] // it ended meanwhile
    }
  })
}
