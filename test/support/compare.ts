/** Distances between our results and the reference's. */

/** Largest absolute difference of two sequences of the same length. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let largest = 0
  for (let index = 0; index < actual.length; index++) {
    const difference = Math.abs(actual[index]! - expected[index]!)
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference
  }
  return largest
}

/** Number of bits in which two packed masks differ. */
export function flippedBits(actual: Uint8Array, expected: Uint8Array): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let flipped = 0
  for (let index = 0; index < actual.length; index++) {
    for (let rest = actual[index]! ^ expected[index]!; rest !== 0; rest &= rest - 1) flipped++
  }
  return flipped
}

/** Bilinear interpolation of a square map to `width` x `height`, pixel centres aligned (`align_corners=False`). */
export function resizeBilinear(map: Float32Array, side: number, width: number, height: number): Float32Array {
  const taps = (length: number) =>
    Array.from({ length }, (_, position) => {
      const at = Math.max(0, ((position + 0.5) * side) / length - 0.5)
      const low = Math.min(side - 1, Math.floor(at))
      return { low, high: Math.min(side - 1, low + 1), weight: at - low }
    })
  const columns = taps(width)
  const resized = new Float32Array(width * height)
  taps(height).forEach((row, y) => {
    columns.forEach((column, x) => {
      const mix = (line: number) =>
        map[line * side + column.low]! * (1 - column.weight) + map[line * side + column.high]! * column.weight
      resized[y * width + x] = mix(row.low) * (1 - row.weight) + mix(row.high) * row.weight
    })
  })
  return resized
}

/** Indices that sort `values` from high to low. */
export function descending(values: ArrayLike<number>): number[] {
  return Array.from(values, (_, index) => index).sort((a, b) => values[b]! - values[a]!)
}
