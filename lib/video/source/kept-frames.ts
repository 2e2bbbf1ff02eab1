/** A source whose frames are kept until their results are drawn, which come later than the frames are read. */
import type { FrameSource, SourceFrame } from './types.js'

/** Passes frames on, and remembers those from the oldest one on that was not taken yet. */
export class KeptFrames implements FrameSource {
  readonly #source: FrameSource
  readonly #frames = new Map<number, SourceFrame>()
  readonly #onRead: (frames: number) => void
  #read = 0

  /** @param onRead Told how many different frames were read so far. */
  constructor(source: FrameSource, onRead: (frames: number) => void) {
    this.#source = source
    this.#onRead = onRead
  }

  get width(): number {
    return this.#source.width
  }

  get height(): number {
    return this.#source.height
  }

  get frameCount(): number | undefined {
    return this.#source.frameCount
  }

  get frameRate(): number | undefined {
    return this.#source.frameRate
  }

  get randomAccess(): boolean {
    return this.#source.randomAccess
  }

  async frame(index: number, signal?: AbortSignal): Promise<SourceFrame | undefined> {
    const frame = await this.#source.frame(index, signal)
    if (frame && !this.#frames.has(frame.index)) {
      this.#frames.set(frame.index, frame)
      this.#onRead(++this.#read)
    }
    return frame
  }

  /** The frame of a result; it and those before it are then forgotten. */
  take(index: number): SourceFrame | undefined {
    const frame = this.#frames.get(index)
    for (const kept of this.#frames.keys()) if (kept <= index) this.#frames.delete(kept)
    return frame
  }

  close(): Promise<void> {
    return this.#source.close()
  }
}
