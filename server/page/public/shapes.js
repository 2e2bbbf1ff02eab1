/** What was found, in terms of what is drawn. */

/**
 * @typedef {[x: number, y: number]} Point
 * @typedef {[x0: number, y0: number, x1: number, y1: number]} Box pixels of the picture
 * @typedef {{ outline: Point[], holes: Point[][] }} Polygon
 * @typedef {{ label: string, score: number, box: Box, path: string, color: string, ink: string }} Shape
 *   `path`: outlines as SVG writes them; `ink`: what can be read on `color`
 */

/** As the library colours instances, in lib/label/palette.ts. */
const COLORS = [
  '#ff4057',
  '#00b4ff',
  '#ffc400',
  '#26d66e',
  '#be5aff',
  '#ff8020',
  '#00d6c8',
  '#ff5ac8',
  '#a0dc28',
  '#5a78ff',
  '#ff9682',
  '#78ebeb',
]
const GOLDEN_ANGLE = 137.508

/** @param {number} index */
export const colorOf = (index) =>
  COLORS[index] ?? `hsl(${Math.round((index * GOLDEN_ANGLE) % 360)} 85% ${index % 2 === 0 ? 58 : 68}%)`

/** @param {readonly Polygon[]} polygons */
export function pathOf(polygons) {
  const ring = (/** @type {Point[]} */ points) => `M${points.map(([x, y]) => `${x} ${y}`).join('L')}Z`
  return polygons.map(({ outline, holes }) => [outline, ...holes].map(ring).join('')).join('')
}

/**
 * @param {{ score: number, box: Box, polygons: Polygon[] }} found as the service answers
 * @param {string} label
 * @param {number} index
 * @returns {Shape}
 */
export function shapeOf({ score, box, polygons }, label, index) {
  return { label, score, box, path: pathOf(polygons), color: colorOf(index), ink: '#111' }
}

/** @param {Shape} shape */
export const tagOf = ({ label, score }) => `${label} ${score.toFixed(2)}`
