/**
 * Polygons as COCO has them: rings without holes. A hole is opened by a cut to the ring around it, there and back on the
 * same line, so that readers which fill a ring by the even-odd or the non-zero rule leave it empty.
 */
import type { Mask } from './mask.js'
import type { Vertex } from './polygons.js'

/** A corner of a ring, which leads to the next one. */
interface Corner {
  x: number
  y: number
  next: Corner
}

/** Corners by the rows of pixels that the edge behind them crosses. */
type Rows = Map<number, Corner[]>

/** At most half a pixel from the true outline: pycocotools, which looks at the centres of pixels, fills the same ones. */
const TOLERANCE = 0.5

/** One ring [x, y, x, y, …] for each connected piece of the mask, at least three corners in each. */
export function cocoPolygons(mask: Mask): number[][] {
  return mask.toPolygons({ tolerance: TOLERANCE }).map(({ outline, holes }) => openHoles(outline, holes).flat())
}

function openHoles(outline: Vertex[], holes: Vertex[][]): Vertex[] {
  if (holes.length === 0) return outline
  const rows: Rows = new Map()
  const ring = link(outline)
  for (const corner of corners(ring)) addEdge(corner, rows)
  // From left to right: what lies to the left of a hole is then already one with the ring.
  const starts = holes.map((hole) => leftmost(link(hole))).sort((a, b) => a.x - b.x)
  for (const start of starts) {
    const own = corners(start)
    cut(edgeLeftOf(start, rows) ?? ring, own, rows)
    for (const corner of own) addEdge(corner, rows)
  }
  return corners(ring).map(({ x, y }) => [x, y])
}

function link(ring: readonly Vertex[]): Corner {
  const all = ring.map(([x, y]) => ({ x, y }) as Corner)
  all.forEach((corner, index) => {
    corner.next = all[(index + 1) % all.length]!
  })
  return all[0]!
}

function corners(ring: Corner): Corner[] {
  const all = [ring]
  for (let corner = ring.next; corner !== ring; corner = corner.next) all.push(corner)
  return all
}

/** The upper end of the leftmost edge: the row of pixels below it is within the hole. */
function leftmost(ring: Corner): Corner {
  return corners(ring).reduce((best, one) => (one.x < best.x || (one.x === best.x && one.y < best.y) ? one : best))
}

function addEdge(corner: Corner, rows: Rows): void {
  const { y, next } = corner
  for (let row = Math.min(y, next.y); row < Math.max(y, next.y); row++) {
    const edges = rows.get(row)
    if (edges) edges.push(corner)
    else rows.set(row, [corner])
  }
}

/** The edge that a ray to the left meets first, at the row of pixels below `start`. */
function edgeLeftOf(start: Corner, rows: Rows): Corner | undefined {
  let best: Corner | undefined
  let nearest = Number.NEGATIVE_INFINITY
  for (const corner of rows.get(start.y) ?? []) {
    const { y, next } = corner
    // Where the edge was cut since it was listed, only a part of it may still be on this row.
    if (y <= start.y === next.y <= start.y) continue
    const x = crossing(corner, start.y)
    if (x > start.x || x <= nearest) continue
    nearest = x
    best = corner
  }
  return best
}

function crossing({ x, y, next }: Corner, row: number): number {
  return x + ((row - y) * (next.x - x)) / (next.y - y)
}

/** Leads the ring from the edge behind `corner` to the hole, around it, and back. */
function cut(corner: Corner, around: readonly Corner[], rows: Rows): void {
  const { next } = corner
  const hole = around[0]!
  const isMet = corner.y <= hole.y !== next.y <= hole.y
  // Without an edge that is met (a thin wall which the tolerance took away) the cut begins at the corner.
  const x = isMet ? Math.round(crossing(corner, hole.y) * 100) / 100 : corner.x
  const y = isMet ? hole.y : corner.y
  const back: Corner = { x, y, next }
  const end: Corner = { x: hole.x, y: hole.y, next: back }
  around.at(-1)!.next = end
  corner.next = { x, y, next: hole }
  addEdge(back, rows)
}
