/** Where labels go: near their box, inside the picture, and not over each other. */
import type { Box } from '../geometry/types.js'

/** An upright rectangle. */
export interface Rectangle {
  x: number
  y: number
  width: number
  height: number
}

function overlaps(a: Rectangle, b: Rectangle): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}

/**
 * Finds a free place for a label of the given size: above its box, inside, below, then further and further down.
 * `taken` is extended by the place. When everything is taken the label goes inside of its box, over others.
 */
export function placeLabel(
  box: Box,
  size: { width: number; height: number },
  picture: { width: number; height: number },
  taken: Rectangle[],
): Rectangle {
  const clampX = (x: number) => Math.max(0, Math.min(x, picture.width - size.width))
  const clampY = (y: number) => Math.max(0, Math.min(y, picture.height - size.height))
  const [x0, y0, x1, y1] = box
  const candidates: [number, number][] = [
    [x0, y0 - size.height],
    [x0, y0],
    [x0, y1],
    [x1 - size.width, y0 - size.height],
    [x1 - size.width, y1 - size.height],
    [x0, y1 - size.height],
  ]
  for (let step = 1; step <= 8; step++) {
    candidates.push([x0, y0 + step * size.height], [x0, y0 - (step + 1) * size.height])
  }
  const places = candidates.map(([x, y]) => ({ ...size, x: clampX(x), y: clampY(y) }))
  const place = places.find((candidate) => !taken.some((other) => overlaps(candidate, other))) ?? places[1]!
  taken.push(place)
  return place
}
