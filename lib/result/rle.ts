/**
 * COCO run-length encoding: the lengths of alternating runs of 0 and 1, column by column, the first run being zeros.
 * The compressed form is byte-equal to pycocotools'.
 */

/** A mask in COCO's compressed RLE, as pycocotools reads and writes it. */
export interface CocoRle {
  /** [height, width]. */
  size: [height: number, width: number]
  /** The run lengths, as COCO's text code. */
  counts: string
}

/** The same with the run lengths as they are, as in the ground truth of YouTube-VIS and in COCO's crowds. */
export interface UncompressedRle {
  /** [height, width]. */
  size: [height: number, width: number]
  /** The run lengths. */
  counts: number[]
}

/** Packs run lengths into COCO's text: differences to the run before the last, 5 bits a character, 6 bits ASCII. */
export function runsToString(runs: ArrayLike<number>): string {
  let text = ''
  for (let index = 0; index < runs.length; index++) {
    // COCO takes differences from the fourth run on.
    let value = index > 2 ? runs[index]! - runs[index - 2]! : runs[index]!
    let more = true
    while (more) {
      let chunk = value & 0x1f
      value >>= 5
      more = chunk & 0x10 ? value !== -1 : value !== 0
      if (more) chunk |= 0x20
      text += String.fromCharCode(chunk + 48)
    }
  }
  return text
}

/** The run lengths in COCO's text; the inverse of {@link runsToString}. */
export function stringToRuns(text: string): Uint32Array {
  const runs: number[] = []
  for (let at = 0; at < text.length; ) {
    let value = 0
    let shift = 0
    for (let more = true; more; shift += 5) {
      const chunk = text.charCodeAt(at++) - 48
      value |= (chunk & 0x1f) << shift
      more = (chunk & 0x20) !== 0
      if (!more && chunk & 0x10) value |= -1 << (shift + 5)
    }
    runs.push(runs.length > 2 ? value + runs[runs.length - 2]! : value)
  }
  return Uint32Array.from(runs)
}

/** Run lengths of a row-major bitmap (any value but 0 counts as set). */
export function bitmapToRuns(bitmap: ArrayLike<number>, width: number, height: number): Uint32Array {
  const runs: number[] = []
  let current = 0
  let length = 0
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      const value = bitmap[y * width + x]! !== 0 ? 1 : 0
      if (value !== current) {
        runs.push(length)
        length = 0
        current = value
      }
      length++
    }
  }
  runs.push(length)
  return Uint32Array.from(runs)
}

/** Calls `visit(x, y0, y1)` for every vertical stretch of set pixels, columns left to right, y1 exclusive. */
export function forEachStretch(
  runs: ArrayLike<number>,
  height: number,
  visit: (x: number, y0: number, y1: number) => void,
): void {
  let position = 0
  for (let index = 0; index < runs.length; index++) {
    const end = position + runs[index]!
    if (index % 2 === 1) {
      while (position < end) {
        const x = Math.floor(position / height)
        const y0 = position - x * height
        const y1 = Math.min(height, y0 + end - position)
        visit(x, y0, y1)
        position += y1 - y0
      }
    }
    position = end
  }
}
