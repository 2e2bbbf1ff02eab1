/** Outlines of a bitmap along pixel edges: pixel (0, 0) covers the square from (0, 0) to (1, 1). */

/** A corner, in pixels. */
export type Vertex = [x: number, y: number]

/** One 4-connected piece of a mask. Rings are closed implicitly (the first point is not repeated). */
export interface Polygon {
  /** Clockwise as seen on the screen (y grows downwards). */
  outline: Vertex[]
  /** Counter-clockwise. */
  holes: Vertex[][]
}

/** How {@link Mask.toPolygons} draws outlines. */
export interface PolygonOptions {
  /** Largest distance in pixels by which a simplified outline may leave the true one. 0 (default) keeps every corner. */
  tolerance?: number
  /** Pieces and holes with fewer pixels than this are left out. Default 0. */
  minArea?: number
}

/** A bitmap with one empty pixel around it, so that neighbours need no bounds checks. */
interface Padded {
  pixels: Uint8Array
  stride: number
}

interface Ring {
  corners: Vertex[]
  /** Enclosed pixels, positive for an outline, negative for a hole. */
  area: number
  /** A set pixel that touches the ring. */
  inside: Vertex
}

// Directions clockwise: right, down, left, up. The mask lies to the right hand of the walk.
const DX = [1, 0, -1, 0]
const DY = [0, 1, 0, -1]
// The pixels ahead, left and right of a walker who stands on a corner, as offsets of their upper left corner.
const AHEAD_LEFT: readonly (readonly [number, number])[] = [
  [0, -1],
  [0, 0],
  [-1, 0],
  [-1, -1],
]
const AHEAD_RIGHT: readonly (readonly [number, number])[] = [
  [0, 0],
  [-1, 0],
  [-1, -1],
  [0, -1],
]

function trace(bitmap: Padded, startX: number, startY: number, visited: Uint8Array): Ring {
  const { pixels, stride } = bitmap
  const isSet = (x: number, y: number, [dx, dy]: readonly [number, number]) => pixels[(y + dy) * stride + x + dx] !== 0
  const corners: Vertex[] = []
  let x = startX
  let y = startY
  let direction = 0
  let area = 0
  do {
    if (direction === 0) visited[y * stride + x] = 1
    area += x * DY[direction]!
    x += DX[direction]!
    y += DY[direction]!
    let turn = 0
    if (!isSet(x, y, AHEAD_RIGHT[direction]!)) turn = 1
    else if (isSet(x, y, AHEAD_LEFT[direction]!)) turn = 3
    if (turn !== 0) corners.push([x, y])
    direction = (direction + turn) % 4
  } while (x !== startX || y !== startY || direction !== 0)
  return { corners, area, inside: [startX, startY] }
}

function traceAll(bitmap: Padded): Ring[] {
  const { pixels, stride } = bitmap
  const visited = new Uint8Array(pixels.length)
  const rings: Ring[] = []
  for (let index = stride; index < pixels.length; index++) {
    // Every ring, hole or outline, has an upper edge of a set pixel.
    if (pixels[index] !== 0 && pixels[index - stride] === 0 && visited[index] === 0) {
      rings.push(trace(bitmap, index % stride, Math.floor(index / stride), visited))
    }
  }
  return rings
}

/** The ring's number, from 1, at every pixel of its piece: a flood fill from the pixel at the ring's rim. */
function labelPieces({ pixels, stride }: Padded, outlines: readonly Ring[]): Int32Array {
  const labels = new Int32Array(pixels.length)
  for (const [index, { inside }] of outlines.entries()) {
    const open = [pixelAt(inside, stride)]
    labels[open[0]!] = index + 1
    for (let pixel = open.pop(); pixel !== undefined; pixel = open.pop()) {
      for (const next of [pixel - 1, pixel + 1, pixel - stride, pixel + stride]) {
        if (pixels[next] === 0 || labels[next] !== 0) continue
        labels[next] = index + 1
        open.push(next)
      }
    }
  }
  return labels
}

function pixelAt([x, y]: Vertex, stride: number): number {
  return y * stride + x
}

function distanceToLine(point: Vertex, from: Vertex, to: Vertex): number {
  const dx = to[0] - from[0]
  const dy = to[1] - from[1]
  const length = Math.hypot(dx, dy)
  if (length === 0) return Math.hypot(point[0] - from[0], point[1] - from[1])
  return Math.abs(dy * (point[0] - from[0]) - dx * (point[1] - from[1])) / length
}

/** Douglas-Peucker between two kept corners, without recursion: outlines can have a million corners. */
function keepCorners(ring: readonly Vertex[], first: number, last: number, tolerance: number, kept: Uint8Array): void {
  const open: [number, number][] = [[first, last]]
  for (let range = open.pop(); range; range = open.pop()) {
    const [from, to] = range
    let farthest = -1
    let distance = tolerance
    for (let index = from + 1; index < to; index++) {
      const here = distanceToLine(ring[index]!, ring[from]!, ring[to % ring.length]!)
      if (here > distance) {
        farthest = index
        distance = here
      }
    }
    if (farthest < 0) continue
    kept[farthest] = 1
    open.push([from, farthest], [farthest, to])
  }
}

/** Drops corners whose absence moves the ring by less than `tolerance`. */
export function simplifyRing(ring: Vertex[], tolerance: number): Vertex[] {
  if (tolerance <= 0 || ring.length <= 4) return ring
  // Two corners far from each other stay; the two halves between them are simplified.
  let opposite = 0
  let farthest = -1
  ring.forEach(([x, y], index) => {
    const distance = Math.hypot(x - ring[0]![0], y - ring[0]![1])
    if (distance > farthest) {
      farthest = distance
      opposite = index
    }
  })
  const kept = new Uint8Array(ring.length)
  kept[0] = 1
  kept[opposite] = 1
  keepCorners(ring, 0, opposite, tolerance, kept)
  keepCorners(ring, opposite, ring.length, tolerance, kept)
  const simplified = ring.filter((_, index) => kept[index])
  return simplified.length >= 3 ? simplified : ring
}

/**
 * Outlines of the set pixels of a row-major bitmap, shifted by (`left`, `top`). Pieces that touch only at a corner
 * are separate. With tolerance 0 the outlines cover exactly the set pixels.
 */
export function bitmapToPolygons(
  bitmap: Uint8Array,
  width: number,
  height: number,
  left: number,
  top: number,
  options: PolygonOptions = {},
): Polygon[] {
  const { tolerance = 0, minArea = 0 } = options
  const stride = width + 2
  const pixels = new Uint8Array(stride * (height + 2))
  for (let y = 0; y < height; y++) pixels.set(bitmap.subarray(y * width, (y + 1) * width), (y + 1) * stride + 1)

  const rings = traceAll({ pixels, stride }).filter(({ area }) => Math.abs(area) >= minArea)
  const outlines = rings.filter(({ area }) => area > 0)
  const holes = rings.filter(({ area }) => area < 0)
  const holesOf: Ring[][] = outlines.map(() => [])
  if (holes.length > 0) {
    const labels = labelPieces({ pixels, stride }, outlines)
    // A hole goes with its piece, also where minArea leaves the piece out.
    for (const hole of holes) holesOf[labels[pixelAt(hole.inside, stride)]! - 1]?.push(hole)
  }

  // One pixel of padding was added on the left and on top.
  const finish = ({ corners }: Ring): Vertex[] =>
    simplifyRing(corners, tolerance).map(([x, y]): Vertex => [x + left - 1, y + top - 1])
  return outlines.map((outline, index) => ({ outline: finish(outline), holes: holesOf[index]!.map(finish) }))
}
