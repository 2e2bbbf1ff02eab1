/** Outlines for the eye: the staircase of a pixel outline as the curve that it stands for. */
import { simplifyRing, type Vertex } from './polygons.js'

/** Neighbours on each side, one for each pixel edge, that a point is averaged with. */
const RADIUS = 3
/** Shorter rings are left alone: averaging would shrink a speck to nothing. */
const SHORTEST = 6 * RADIUS
/** Pixels by which the smoothed ring may be off after corners that nobody sees are dropped. */
const TOLERANCE = 0.15

/** The middles of all unit edges of an axis-parallel ring: they already follow a slope better than its corners. */
function edgeMiddles(ring: readonly Vertex[]): Vertex[] {
  return ring.flatMap(([x, y], index) => {
    const [nextX, nextY] = ring[(index + 1) % ring.length]!
    const length = Math.abs(nextX - x) + Math.abs(nextY - y)
    const [dx, dy] = [Math.sign(nextX - x), Math.sign(nextY - y)]
    return Array.from({ length }, (_, step): Vertex => [x + dx * (step + 0.5), y + dy * (step + 0.5)])
  })
}

/** A smooth ring through an exact outline of `Mask.toPolygons()`. */
export function smoothOutline(ring: readonly Vertex[]): Vertex[] {
  const points = edgeMiddles(ring)
  const count = points.length
  if (count < SHORTEST) return [...ring]
  // The sum over the window moves along with it: outlines can have a million points.
  const at = (index: number) => points[(index + count) % count]!
  let [sumX, sumY] = [0, 0]
  for (let index = -RADIUS; index <= RADIUS; index++) {
    sumX += at(index)[0]
    sumY += at(index)[1]
  }
  const width = 2 * RADIUS + 1
  const smooth = points.map((_, index): Vertex => {
    const mean: Vertex = [sumX / width, sumY / width]
    const [leaving, entering] = [at(index - RADIUS), at(index + RADIUS + 1)]
    sumX += entering[0] - leaving[0]
    sumY += entering[1] - leaving[1]
    return mean
  })
  return simplifyRing(smooth, TOLERANCE)
}
