/** The vector part of an overlay: contours, boxes and labels as one SVG. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { labelChip, labelSize } from '../label/chip.js'
import type { LabelFont } from '../label/font.js'
import type { Box } from '../geometry/types.js'
import { placeLabel, type Rectangle } from './label-layout.js'
import type { OverlayInstance } from './types.js'
import { type Rgb, toHex } from '../label/palette.js'
import type { Vertex } from './polygons.js'
import { smoothOutline } from './smooth-outline.js'

/** What to draw and how large; sizes in pixels of the picture. */
export interface OverlayDrawing {
  width: number
  height: number
  /** Picture pixels per image pixel. */
  scale: number
  contours: boolean
  boxes: boolean
  labels: boolean
  /** Come before those of the package. */
  fonts: readonly LabelFont[]
}

function ringPath(ring: readonly Vertex[], scale: number): string {
  const text = (value: number) => (value * scale).toFixed(1)
  return `M${ring.map(([x, y]) => `${text(x)} ${text(y)}`).join('L')}Z`
}

function contour({ mask }: OverlayInstance, color: Rgb, line: number, scale: number): string {
  const path = mask
    // A line round a speck would hide it, and a noisy mask has thousands.
    .toPolygons({ minArea: ((2 * line) / scale) ** 2 })
    .flatMap(({ outline, holes }) => [outline, ...holes])
    .map((ring) => ringPath(smoothOutline(ring), scale))
    .join('')
  if (!path) return ''
  // A dark line below the coloured one keeps it visible on a background of its own colour.
  const halo = `<path d="${path}" fill="none" stroke="#000" stroke-opacity=".45" stroke-width="${line * 2}" stroke-linejoin="round"/>`
  return `${halo}<path d="${path}" fill="none" stroke="${toHex(color)}" stroke-width="${line}" stroke-linejoin="round"/>`
}

function boxOf({ box, mask }: OverlayInstance, scale: number): Box {
  const [x0, y0, x1, y1] = box ?? mask.box
  return [x0 * scale, y0 * scale, x1 * scale, y1 * scale]
}

function rectangle([x0, y0, x1, y1]: Box, color: Rgb, line: number): string {
  const shape = `x="${x0}" y="${y0}" width="${Math.max(0, x1 - x0)}" height="${Math.max(0, y1 - y0)}" rx="${line}" fill="none"`
  return `<rect ${shape} stroke="#000" stroke-opacity=".25" stroke-width="${line * 1.2}"/><rect ${shape} stroke="${toHex(color)}" stroke-opacity=".85" stroke-width="${line * 0.5}"/>`
}

async function label(
  { label: name = '', score }: OverlayInstance,
  index: number,
  box: Box,
  color: Rgb,
  drawing: OverlayDrawing,
  taken: Rectangle[],
): Promise<string> {
  const { width, height, fonts } = drawing
  const text = { name, fallback: `#${index + 1}`, suffix: score === undefined ? '' : score.toFixed(2) }
  const chip = await labelChip(text, labelSize(width, height), width, fonts)
  const { x, y } = placeLabel(box, chip, drawing, taken)
  return chip.svg(x, y, color)
}

/** The SVG of an overlay; instances come with the colour that they have in the picture. */
export async function overlaySvg(
  instances: readonly { instance: OverlayInstance; color: Rgb }[],
  drawing: OverlayDrawing,
): Promise<string> {
  const { width, height, scale } = drawing
  const line = Math.max(2, Math.max(width, height) / 480)
  const parts: string[] = []
  if (drawing.contours) {
    for (const { instance, color } of instances) {
      await nextTurn() // a long outline takes milliseconds: let the event loop breathe between two
      parts.push(contour(instance, color, line, scale))
    }
  }
  if (drawing.boxes)
    parts.push(...instances.map(({ instance, color }) => rectangle(boxOf(instance, scale), color, line)))
  if (drawing.labels) {
    const taken: Rectangle[] = []
    for (const [index, { instance, color }] of instances.entries())
      parts.push(await label(instance, index, boxOf(instance, scale), color, drawing, taken))
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${parts.join('')}</svg>`
}
