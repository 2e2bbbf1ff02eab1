/** One run of ffmpeg: the frames of a video from some time on, in order, as RGB bytes. */
import type { Sam3Error } from '../../base/errors.js'
import { availableParallelism } from 'node:os'
import type { MediaInput } from '../ffmpeg/input.js'
import { type Exit, MediaProcess } from '../ffmpeg/process.js'
import { keepTimes, type ProgramVersion } from '../ffmpeg/version.js'
import { Bell } from '../../base/wake.js'

/** A frame as ffmpeg gives it. */
export interface DecodedFrame {
  /** Seconds in the file's own time; NaN where it has none. */
  time: number
  /** RGB bytes of the size of the first frame of this run. */
  data: Uint8Array
  width: number
  height: number
  /** The size that this frame had before ffmpeg brought it to that of the first. */
  original: { width: number; height: number }
  /** The decoder had to guess parts of it. */
  damaged: boolean
}

/** Where and how to start. */
export interface DecoderStart {
  /** Path of the program. */
  ffmpeg: string
  version: ProgramVersion
  input: MediaInput
  /** Seconds from the beginning of the file; frames before it are left out. 0: all. */
  seek: number
}

type FrameNote = Pick<DecodedFrame, 'time' | 'damaged' | 'original'>

/** Complete frames that wait for their reader; ffmpeg waits when there are so many. */
const READ_AHEAD = 2
/** Decoding is a small part of the work; a thread for every core would only take memory. */
const DECODER_THREADS = Math.min(4, availableParallelism())

/** ffmpeg's filter writes a line for every frame, in the order in which frames come through the pipe. */
const FRAME_LINE = /^\[Parsed_showinfo_\d+ @ \w+\] \[info\] n: *\d+ +pts: *(\S+) .* s:(\d+)x(\d+) /
const TIME_BASE_LINE = /^\[Parsed_showinfo_\d+ @ \w+\] \[info\] config in time_base: (\d+)\/(\d+)/
const DAMAGED_LINE = /corrupt decoded frame/
/** Errors of demuxers and decoders; what else has gone wrong ends the run anyway. */
const PROBLEM_LINE = /\[(error|fatal)\]/
const REMARK_LINE = /\[(info|verbose)\]|-vsync is deprecated/

/** Reads ahead a little, and stops ffmpeg by back-pressure of its pipe. Made for one reader. */
export class Decoder {
  readonly #process: MediaProcess
  readonly #bell = new Bell()
  readonly #frames: Buffer[] = []
  readonly #notes: FrameNote[] = []
  #size: { width: number; height: number } | undefined
  #tick = Number.NaN
  #nextDamaged = false
  #chunks: Buffer[] = []
  #current: Buffer | undefined
  #filled = 0
  #exit: Exit | undefined
  #startError: Sam3Error | undefined
  #problems = false

  constructor({ ffmpeg, version, input, seek }: DecoderStart) {
    const args = [
      ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'repeat+level+info', '-threads', `${DECODER_THREADS}`],
      ...(seek > 0 ? ['-ss', seek.toFixed(6)] : []),
      ...[...input.args, '-map', '0:V:0', '-an', '-sn', '-dn', '-copyts', ...keepTimes(version)],
      ...['-max_error_rate', '1', '-vf', 'showinfo=checksum=0', '-pix_fmt', 'rgb24', '-f', 'rawvideo', 'pipe:1'],
    ]
    this.#process = new MediaProcess(ffmpeg, args, { onLine: (line) => this.#onLine(line) })
    this.#process.stdout.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#fill()
    })
    this.#process.ended
      .then((exit) => {
        this.#exit = exit
      })
      .catch((error: Sam3Error) => {
        this.#startError = error
      })
      .finally(() => this.#bell.ring())
    this.#process.keepAlive(false)
  }

  /** Whether something in the file could not be read or decoded so far. */
  get problems(): boolean {
    return this.#problems
  }

  /** What ffmpeg said last. */
  get lastLines(): string {
    return this.#process.lastLines
  }

  /**
   * The next frame, or undefined behind the last one.
   * @param signal Gives up waiting; nothing is lost by it.
   * @throws Sam3RuntimeError `ERR_FFMPEG_FAILED`, Sam3EnvironmentError `ERR_FFMPEG_NOT_FOUND`, Sam3AbortError
   */
  async next(signal?: AbortSignal): Promise<DecodedFrame | undefined> {
    this.#process.keepAlive(true)
    try {
      while (this.#frames.length === 0 || this.#notes.length === 0) {
        if (this.#startError) throw this.#startError
        if (this.#exit) {
          if (this.#exit.code === 0) return undefined
          throw this.#process.failure(this.#exit, 'reading the video')
        }
        await this.#bell.wait(signal)
      }
    } finally {
      this.#process.keepAlive(false)
    }
    const data = this.#frames.shift()!
    const note = this.#notes.shift()!
    this.#fill()
    return { ...note, ...this.#size!, data }
  }

  /** Ends ffmpeg. A `next()` that waits gets the error of an ended process. */
  close(): Promise<void> {
    return this.#process.kill()
  }

  #onLine(line: string): boolean {
    const frame = FRAME_LINE.exec(line)
    if (frame) {
      const original = { width: Number(frame[2]), height: Number(frame[3]) }
      this.#notes.push({ time: Number(frame[1]) * this.#tick, original, damaged: this.#nextDamaged })
      this.#nextDamaged = false
      this.#size ??= original
      this.#fill()
      this.#bell.ring()
      return true
    }
    const base = TIME_BASE_LINE.exec(line)
    if (base) this.#tick = Number(base[1]) / Number(base[2])
    // Written before the line of the frame that it is about (in ffmpeg 7, which works ahead, perhaps a frame or two early).
    if (DAMAGED_LINE.test(line)) this.#nextDamaged = true
    if (DAMAGED_LINE.test(line) || PROBLEM_LINE.test(line)) this.#problems = true
    return base !== null || REMARK_LINE.test(line)
  }

  /** Cuts what has come into frames, as far as there is room for them. */
  #fill(): void {
    const { stdout } = this.#process
    while (this.#chunks.length > 0) {
      if (!this.#current) {
        if (!this.#size || this.#frames.length >= READ_AHEAD) break
        this.#current = Buffer.allocUnsafeSlow(this.#size.width * this.#size.height * 3)
        this.#filled = 0
      }
      const chunk = this.#chunks.shift()!
      const copied = chunk.copy(this.#current, this.#filled)
      this.#filled += copied
      if (copied < chunk.length) this.#chunks.unshift(chunk.subarray(copied))
      if (this.#filled === this.#current.length) {
        this.#frames.push(this.#current)
        this.#current = undefined
        this.#bell.ring()
      }
    }
    if (this.#chunks.length > 0) stdout.pause()
    else if (stdout.isPaused()) stdout.resume()
  }
}
