/** The vector part of an overlay: contours, boxes and labels as one SVG. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Box } from '../prompt/types.js'
import { placeLabel, type Rectangle } from './label-layout.js'
import type { OverlayInstance } from './overlay.js'
import { readableOn, type Rgb, toHex } from './palette.js'
import type { Vertex } from './polygons.js'
import { smoothOutline } from './smooth-outline.js'
import { fitText, textPath, textWidth } from './text-path.js'

/** What to draw and how large; sizes in pixels of the picture. */
export interface OverlayDrawing {
  width: number
  height: number
  /** Picture pixels per image pixel. */
  scale: number
  contours: boolean
  boxes: boolean
  labels: boolean
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

function labelText({ label, score }: OverlayInstance, index: number): string {
  const name = label || `#${index + 1}`
  return score === undefined ? name : `${name} ${score.toFixed(2)}`
}

/** Height of the letters: readable on a thumbnail, not monstrous on a satellite image. */
export function labelSize(width: number, height: number): number {
  return Math.max(12, Math.min(72, Math.round(Math.min(width, height) * 0.026)))
}

/** A label before it has a place. */
export interface LabelChip {
  width: number
  height: number
  /** The label as SVG, its upper left corner at (`x`, `y`). */
  svg(x: number, y: number, color: Rgb): string
}

/** A label of letters of `size` pixels, at most `room` pixels wide. */
export function labelChip(text: string, size: number, room: number): LabelChip {
  const padding = size * 0.35
  const shown = fitText(text, size, room - 2 * padding)
  const [width, height] = [textWidth(shown, size) + 2 * padding, size * 1.5]
  return {
    width,
    height,
    svg: (x, y, color) => {
      // The baseline lies so that capitals are centred: their height is 0.73 em in this font.
      const letters = textPath(shown, x + padding, y + height / 2 + size * 0.365, size)
      return `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${size * 0.2}" fill="${toHex(color)}" fill-opacity=".92"/><path d="${letters}" fill="${readableOn(color)}"/>`
    },
  }
}

function label(text: string, box: Box, color: Rgb, drawing: OverlayDrawing, taken: Rectangle[]): string {
  const chip = labelChip(text, labelSize(drawing.width, drawing.height), drawing.width)
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
    parts.push(
      ...instances.map(({ instance, color }, index) =>
        label(labelText(instance, index), boxOf(instance, scale), color, drawing, taken),
      ),
    )
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${parts.join('')}</svg>`
}
