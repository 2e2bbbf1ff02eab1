/** Seeded random numbers (mulberry32), so that a failing case can be run again. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** A bitmap of random blobs: rectangles set and cleared, then a sprinkle of single pixels. */
export function randomBitmap(random: () => number, width: number, height: number): Uint8Array {
  const bitmap = new Uint8Array(width * height)
  const below = (limit: number) => Math.floor(random() * limit)
  for (let shape = below(6); shape >= 0; shape--) {
    const [x0, y0] = [below(width), below(height)]
    const [x1, y1] = [x0 + 1 + below(width - x0), y0 + 1 + below(height - y0)]
    const value = random() < 0.7 ? 1 : 0
    for (let y = y0; y < y1; y++) bitmap.fill(value, y * width + x0, y * width + x1)
  }
  for (let pixel = below(20); pixel > 0; pixel--) bitmap[below(bitmap.length)] = random() < 0.5 ? 1 : 0
  return bitmap
}
