/** A file of the MOT challenge, written as results come. */
import { createWriteStream, type WriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import type { ExportedFrame } from './types.js'
import { MotText } from './mot.js'

/** Takes results no faster than the disk takes their lines. */
export class MotFile {
  readonly #mot: MotText
  readonly #stream: WriteStream
  readonly #done: Promise<void>

  constructor(path: string, mot = new MotText()) {
    this.#mot = mot
    this.#stream = createWriteStream(path)
    this.#done = finished(this.#stream)
    this.#done.catch(() => {}) // told by the call that comes next
  }

  async add(result: ExportedFrame): Promise<void> {
    if (this.#stream.write(this.#mot.lines(result))) return
    await Promise.race([this.#done, new Promise<void>((go) => this.#stream.once('drain', () => go()))])
  }

  /** All of it is written. */
  async close(): Promise<void> {
    this.#stream.end()
    await this.#done
  }

  /** What is written stays. */
  abort(): void {
    this.#stream.destroy()
  }
}
