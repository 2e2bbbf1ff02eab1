/** A video file, decoded by ffmpeg frame by frame as they are asked for. */
import { Sam3InputError } from '../../base/errors.js'
import { checkSignal } from '../../base/checks.js'
import { findProgram, type ProgramOptions } from '../ffmpeg/find.js'
import type { MediaInput } from '../ffmpeg/input.js'
import { type ProgramVersion, programVersion } from '../ffmpeg/version.js'
import { Turns } from '../../base/wake.js'
import { type DecodedFrame, Decoder } from './decoder.js'
import { checkIndex, framePassed, sourceClosed, wrongSize } from './errors.js'
import { FrameTimes } from './frame-times.js'
import { noFrames, type Probe, probe } from './probe.js'
import { DEFAULT_RATE, type FrameSource, type SourceFrame } from './types.js'

/** Frames that are nearer than this are decoded through; to those behind them ffmpeg seeks. */
const NEAR = 48
/** Going backward, this many bytes of frames are decoded at a time: each time costs the way from the last key frame. */
const CHUNK_BYTES = 64 * 2 ** 20
const CHUNK_FRAMES = { least: 4, most: 32 }

/** The ffmpeg that is used. */
interface Ffmpeg {
  path: string
  version: ProgramVersion
}

/** A frame that was read, or why it cannot be. */
type Entry = SourceFrame | Sam3InputError

/** Reads any frame of a file; forward is cheap, backward costs a restart of the decoder every few frames. */
export class FfmpegSource implements FrameSource {
  readonly width: number
  readonly height: number
  readonly #ffmpeg: Ffmpeg
  readonly #input: MediaInput
  readonly #probe: Probe
  readonly #times: FrameTimes
  readonly #turns = new Turns()
  readonly #kept = new Map<number, Entry>()
  #decoder: Decoder
  /** Index of the frame that the decoder gives next. */
  #position = 0
  /** Whether frames have times that can be sought. */
  #timed = true
  /** Whether seeking leads where it should; containers without an index may fail there. */
  #seekable = true
  /** Where the decoder was told to start, until its first frame shows that it did. */
  #sought: number | undefined
  /** From here on the file is damaged. */
  #damagedFrom = Number.POSITIVE_INFINITY
  /** How many frames the file should have; 0 where it does not say. */
  #promised: number
  /** How many it has, once the end was seen. */
  #end: number | undefined
  #last = 0
  #closed = false

  private constructor(ffmpeg: Ffmpeg, input: MediaInput, probed: Probe, decoder: Decoder, first: DecodedFrame) {
    this.#ffmpeg = ffmpeg
    this.#input = input
    this.#probe = probed
    this.#decoder = decoder
    this.#times = new FrameTimes(probed.times)
    this.#promised = probed.frameCount ?? 0
    this.width = first.width
    this.height = first.height
    this.#accept(first, 0)
  }

  /**
   * Opens a video and decodes its first frame.
   * @throws Sam3InputError `ERR_INVALID_VIDEO`, Sam3EnvironmentError `ERR_FFMPEG_NOT_FOUND`, Sam3RuntimeError
   * `ERR_FFMPEG_FAILED`, Sam3AbortError
   */
  static async open(programs: ProgramOptions, input: MediaInput, signal?: AbortSignal): Promise<FfmpegSource> {
    checkSignal(signal)
    const found = { ffmpeg: findProgram('ffmpeg', programs), ffprobe: findProgram('ffprobe', programs) }
    const version = await programVersion('ffmpeg', found.ffmpeg)
    const probed = await probe(found.ffprobe, input, signal)
    const ffmpeg = { path: found.ffmpeg.path, version }
    const decoder = new Decoder({ ffmpeg: ffmpeg.path, version, input, seek: 0 })
    try {
      const first = await decoder.next(signal)
      if (!first) throw noFrames(input.name, decoder.lastLines)
      return new FfmpegSource(ffmpeg, input, probed, decoder, first)
    } catch (error) {
      await decoder.close()
      throw error
    }
  }

  get frameCount(): number | undefined {
    return this.#end ?? (this.#promised > 0 ? this.#promised : undefined)
  }

  get frameRate(): number | undefined {
    return this.#probe.frameRate
  }

  get randomAccess(): boolean {
    return this.#probe.isFinite
  }

  async frame(index: number, signal?: AbortSignal): Promise<SourceFrame | undefined> {
    checkIndex(index)
    checkSignal(signal)
    try {
      const entry = await this.#turns.take(() => this.#read(index, signal), signal)
      if (entry instanceof Error) throw entry
      return entry
    } catch (error) {
      checkSignal(signal)
      throw this.#closed ? sourceClosed() : error
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#kept.clear()
    await this.#decoder.close()
  }

  async #read(index: number, signal: AbortSignal | undefined): Promise<Entry | undefined> {
    if (this.#closed) throw sourceClosed()
    if (index >= (this.#end ?? Number.POSITIVE_INFINITY)) return undefined
    if (!this.#kept.has(index) && index < this.#damagedFrom) await this.#fetch(index, signal)
    const entry = this.#kept.get(index)
    // What has been passed in the direction of reading is not asked for again.
    const isPassed = index >= this.#last ? (other: number) => other < index : (other: number) => other > index
    for (const other of this.#kept.keys()) if (isPassed(other)) this.#kept.delete(other)
    this.#last = index
    return entry ?? (index >= this.#damagedFrom && index < this.#promised ? this.#damaged(index) : undefined)
  }

  /** Decodes until frame `index` is kept, or there is none. */
  async #fetch(index: number, signal: AbortSignal | undefined): Promise<void> {
    let keepFrom = index
    if (index < this.#position) {
      if (!this.randomAccess) throw framePassed(index)
      const size = Math.floor(CHUNK_BYTES / (this.width * this.height * 3))
      keepFrom = Math.max(0, index + 1 - Math.min(CHUNK_FRAMES.most, Math.max(CHUNK_FRAMES.least, size)))
      await this.#restart(keepFrom)
    } else if (index >= this.#position + NEAR && this.#times.at(index) !== undefined && this.#seekable) {
      await this.#restart(index)
    }
    while (this.#position <= index) {
      let frame: DecodedFrame | undefined
      try {
        frame = await this.#decoder.next(signal)
      } catch (error) {
        // The next call begins anew; a stream cannot, and says again why.
        if (!signal?.aborted && this.randomAccess) this.#position = Number.POSITIVE_INFINITY
        throw error
      }
      if (this.#sought !== undefined) {
        const found = frame && this.#times.find(frame.time)
        if (found !== undefined && found <= this.#sought) {
          this.#position = found
        } else {
          this.#seekable = false
          await this.#restart(0)
          continue
        }
        this.#sought = undefined
      }
      if (frame) {
        this.#accept(frame, keepFrom)
      } else {
        this.#finish()
        return
      }
    }
  }

  /** Starts the decoder again, so that it gives frame `index`, or one before it, next. */
  async #restart(index: number): Promise<void> {
    await this.#decoder.close()
    if (this.#closed) throw sourceClosed()
    // One frame earlier: what ffmpeg says of frames that it decodes only on the way there seems to be about the first.
    const target = this.#timed && this.#seekable ? Math.max(0, index - 1) : 0
    const time = target > 0 ? this.#times.before(target) : undefined
    const seek = time === undefined ? 0 : Math.max(0, time - this.#probe.startTime)
    const { path: ffmpeg, version } = this.#ffmpeg
    this.#decoder = new Decoder({ ffmpeg, version, input: this.#input, seek })
    this.#position = seek > 0 ? target : 0
    this.#sought = seek > 0 ? target : undefined
  }

  /** Finds out which frame this is, and keeps it where it is from `keepFrom` on. */
  #accept(frame: DecodedFrame, keepFrom: number): void {
    const index = this.#place(frame.time)
    for (let lost = this.#position; lost < index; lost++) {
      if (lost >= keepFrom) this.#kept.set(lost, this.#damaged(lost))
    }
    this.#position = index + 1
    if (index < keepFrom) return
    const { width, height, data, original } = frame
    const isSame = original.width === width && original.height === height
    const timestamp = this.#timestamp(index)
    if (frame.damaged) this.#kept.set(index, this.#damaged(index))
    else this.#kept.set(index, isSame ? { index, timestamp, data, width, height } : wrongSize(index, original, frame))
  }

  #place(time: number): number {
    if (!this.#timed) return this.#position
    const found = this.#times.find(time)
    if (found !== undefined && found >= this.#position) {
      if (this.#decoder.problems) return found
      // Where nothing went wrong, packets that gave no frame were not meant to be seen.
      this.#times.remove(this.#position, found)
      this.#promised -= found - this.#position
    } else {
      // A time that the packets did not promise: from here on, only what is decoded counts.
      this.#times.remove(this.#position, this.#times.length)
      if (!this.#times.append(time)) this.#timed = false
    }
    return this.#position
  }

  #timestamp(index: number): number {
    if (!this.#timed) return index / (this.#probe.frameRate ?? DEFAULT_RATE)
    return this.#times.at(index)! - this.#times.at(0)!
  }

  /** ffmpeg has come to the end: that is how many frames there are, unless some could not be read. */
  #finish(): void {
    if (this.#position < this.#promised && this.#decoder.problems) {
      this.#damagedFrom = this.#position
      return
    }
    this.#end = this.#position
    this.#times.remove(this.#position, this.#times.length)
  }

  #damaged(index: number): Sam3InputError {
    const said = this.#decoder.lastLines ? ` ffmpeg says:\n${this.#decoder.lastLines}\n` : ''
    return new Sam3InputError('ERR_INVALID_FRAME', `Frame ${index} of ${this.#input.name} is damaged.${said}`, {
      fix: "Leave such frames out with onBadFrame: 'skip', or repair the file.",
    })
  }
}
