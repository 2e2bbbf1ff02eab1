/** Frames into a video file, encoded by ffmpeg while they come. */
import { recogniseInAllCopies } from '../../base/same-class.js'
import { rename, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Sam3InputError, Sam3RuntimeError } from '../../base/errors.js'
import { checkWholeNumber } from '../../base/checks.js'
import { checkProgramOptions, type ProgramOptions } from '../ffmpeg/find.js'
import { type Exit, MediaProcess } from '../ffmpeg/process.js'
import { keepTimes } from '../ffmpeg/version.js'
import { Bell } from '../../base/wake.js'
import { recipeFor } from './formats.js'
import { frameHeader, streamHeader, TICKS_PER_SECOND } from './matroska.js'

/** How a video is written. */
export interface VideoWriterOptions extends Pick<ProgramOptions, 'ffmpeg'> {
  /** Pixels in a row. */
  width: number
  /** Rows. */
  height: number
  /** Frames per second, where they have a fixed rate: the file then has exactly this one. */
  frameRate?: number | undefined
  /** Size against fidelity as x264 counts it, 0 to 51: smaller is better and larger. Default 18, hard to tell from the original. */
  quality?: number
}

/** A frame to be written: a frame of a source with something drawn over it, for instance. */
export interface WritableFrame {
  /** `width * height * 3` RGB bytes. */
  data: Uint8Array
  /** Seconds, increasing from frame to frame. The file starts with the first one. */
  timestamp: number
}

/** How long the last frame of a video without a fixed rate is shown, as a rate. */
const LAST_FRAME_RATE = 25

/** Ticks in a second of the file, so that a fixed rate is kept exactly: 30000/1001 as well as 25. */
function timescale(frameRate: number | undefined): number {
  for (const rate of frameRate ? [frameRate, frameRate * 1.001] : []) {
    if (Math.abs(rate - Math.round(rate)) < 1e-4) return Math.round(rate) * 1000
  }
  return 90_000
}

/**
 * Writes an mp4, mov, mkv or webm of exactly the size and the times of its frames. The file appears when it is complete.
 *
 * @example
 * ```ts
 * const writer = await VideoWriter.open('tracked.mp4', session)
 * await writer.write(await overlayFrame(frame, objects))
 * await writer.close()
 * ```
 */
export class VideoWriter {
  readonly #path: string
  readonly #unfinished: string
  readonly #process: MediaProcess
  readonly #bell = new Bell()
  readonly #size: { width: number; height: number }
  #exit: Exit | undefined
  #startError: unknown
  #firstTime: number | undefined
  #lastTicks = -1
  #state: 'open' | 'closed' = 'open'

  private constructor(
    path: string,
    process: MediaProcess,
    { width, height, frameRate = LAST_FRAME_RATE }: VideoWriterOptions,
  ) {
    this.#path = path
    this.#unfinished = unfinished(path)
    this.#process = process
    this.#size = { width, height }
    process.stdout.resume()
    process.ended
      .then((exit) => {
        this.#exit = exit
      })
      .catch((error: unknown) => {
        this.#startError = error
      })
      .finally(() => this.#bell.ring())
    process.stdin!.write(streamHeader(width, height, 1 / frameRate))
  }

  /**
   * Starts a file; its ending says of which kind: .mp4, .m4v, .mov, .mkv or .webm. One that is there already is replaced when
   * the new one is complete.
   * @throws Sam3InputError `ERR_INVALID_ARGUMENT`, Sam3EnvironmentError `ERR_FFMPEG_NOT_FOUND`, Sam3RuntimeError
   * `ERR_FFMPEG_FAILED`
   */
  static async open(file: string, options: VideoWriterOptions): Promise<VideoWriter> {
    const { width, height, frameRate, quality } = checkOptions(options)
    const { format, encoder, ffmpeg, version } = await recipeFor(file, options)
    const args = [
      ...['-hide_banner', '-nostats', '-loglevel', 'error', '-y', '-probesize', '32', '-f', 'matroska', '-i', 'pipe:0'],
      ...['-an', ...keepTimes(version), '-enc_time_base', `1:${TICKS_PER_SECOND}`],
      ...['-vf', 'scale=out_color_matrix=bt709:out_range=tv', '-c:v', encoder.name],
      ...encoder.args((width | height) % 2 === 1, quality),
      ...['-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709', '-color_range', 'tv'],
      ...format.args(timescale(frameRate)),
      ...['-f', format.name, `file:${unfinished(file)}`],
    ]
    return new VideoWriter(file, new MediaProcess(ffmpeg.path, args, { stdin: true }), { width, height, frameRate })
  }

  /**
   * Adds a frame. Resolves when ffmpeg has room for more.
   * @throws Sam3InputError `ERR_FRAME_SIZE`, `ERR_INVALID_ARGUMENT` (a time that is not behind the last one),
   * Sam3RuntimeError `ERR_FFMPEG_FAILED`, `ERR_STREAM_CLOSED`
   */
  async write({ data, timestamp }: WritableFrame): Promise<void> {
    if (this.#state !== 'open') {
      throw new Sam3RuntimeError('ERR_STREAM_CLOSED', 'The video file was closed.', { fix: 'Open another one.' })
    }
    const { width, height } = this.#size
    if (data.length !== width * height * 3) {
      throw new Sam3InputError('ERR_FRAME_SIZE', `A frame of ${width} x ${height} has not ${data.length} bytes.`, {
        fix: 'Pass width * height * 3 RGB bytes.',
      })
    }
    this.#firstTime ??= timestamp
    const ticks = Math.round((timestamp - this.#firstTime) * TICKS_PER_SECOND)
    if (!(ticks > this.#lastTicks)) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', `A frame at ${timestamp} s is not behind the one before it.`, {
        fix: 'Write frames in the order of their times.',
      })
    }
    this.#lastTicks = ticks
    const stdin = this.#process.stdin!
    stdin.write(frameHeader(ticks, data.length))
    // The bytes belong to the caller again when they have left.
    let isOut = false
    stdin.write(data, (error) => {
      isOut = !error // a pipe that broke: the process has ended, or is about to
      this.#bell.ring()
    })
    while (!isOut && !this.#hasEnded) await this.#bell.wait()
    if (this.#hasEnded) throw await this.#failure()
  }

  /**
   * Finishes the file.
   * @throws Sam3RuntimeError `ERR_FFMPEG_FAILED`
   */
  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#process.stdin!.end()
    while (!this.#hasEnded) await this.#bell.wait()
    if (this.#startError || this.#exit?.code !== 0) throw await this.#failure()
    await rename(this.#unfinished, this.#path)
  }

  /** Gives up: what was written is deleted. Safe to call twice, and after `close()`. */
  async abort(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    await this.#process.kill()
    await rm(this.#unfinished, { force: true })
  }

  get #hasEnded(): boolean {
    return this.#exit !== undefined || this.#startError !== undefined
  }

  async #failure(): Promise<unknown> {
    this.#state = 'closed'
    await rm(this.#unfinished, { force: true })
    return this.#startError ?? this.#process.failure(this.#exit!, `writing ${this.#path}`)
  }
}
recogniseInAllCopies(VideoWriter, 'VideoWriter')

function unfinished(path: string): string {
  return `${resolve(path)}.part`
}

function checkOptions(options: VideoWriterOptions) {
  checkProgramOptions({ ffmpeg: options.ffmpeg })
  const width = checkWholeNumber(options.width, 'width', 1)
  const height = checkWholeNumber(options.height, 'height', 1)
  const quality = checkWholeNumber(options.quality, 'quality', 0) ?? 18
  if (width === undefined || height === undefined || quality > 51) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'A video needs width, height and a quality of at most 51.', {
      fix: 'Pass the size of the frames.',
    })
  }
  return { width, height, frameRate: options.frameRate, quality }
}
