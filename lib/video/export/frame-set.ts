/** Indices of frames, a bit for each: an hour of video takes some kilobytes. */
export class FrameSet {
  #bits = new Uint8Array(1024)

  has(index: number): boolean {
    return ((this.#bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
  }

  add(index: number): void {
    const at = index >> 3
    if (at >= this.#bits.length) {
      const grown = new Uint8Array(2 * at)
      grown.set(this.#bits)
      this.#bits = grown
    }
    this.#bits[at] = this.#bits[at]! | (1 << (index & 7))
  }
}
