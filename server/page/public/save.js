/** Results as files. */
import { make } from './dom.js'
import { Problem } from './problem.js'
import { tagOf } from './shapes.js'

/** @typedef {import('./shapes.js').Shape} Shape */
/** @typedef {{ masks: boolean, boxes: boolean, labels: boolean }} Shown */

/** @param {Blob} blob @param {string} name */
export function saveBlob(blob, name) {
  const href = URL.createObjectURL(blob)
  make('a', { href, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(href), 60_000) // the browser may still ask where to
}

/** @param {unknown} value @param {string} name */
export function saveJson(value, name) {
  saveBlob(new Blob([JSON.stringify(value, undefined, 2), '\n'], { type: 'application/json' }), name)
}

/**
 * The picture at its own size with what is shown over it.
 * @param {HTMLCanvasElement} pixels
 * @param {readonly Shape[]} shapes
 * @param {Shown} shown
 * @returns {Promise<Blob>}
 * @throws {Problem}
 */
export async function drawPng(pixels, shapes, shown) {
  const { width, height } = pixels
  const canvas = new OffscreenCanvas(width, height)
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d'))
  context.drawImage(pixels, 0, 0)
  const unit = Math.max(1, Math.max(width, height) / 800)
  context.lineJoin = 'round'
  for (const { path, box, color } of shapes) {
    const [x0, y0, x1, y1] = box
    if (shown.masks) {
      const outline = new Path2D(path)
      context.globalAlpha = 0.26
      context.fillStyle = color
      context.fill(outline, 'evenodd')
      context.globalAlpha = 1
      stroke(context, outline, 'rgb(0 0 0 / 55%)', 3 * unit)
      stroke(context, outline, color, 1.75 * unit)
    }
    if (shown.boxes) {
      const outline = new Path2D()
      outline.rect(x0, y0, x1 - x0, y1 - y0)
      context.setLineDash([5 * unit, 4 * unit])
      stroke(context, outline, color, 1.25 * unit)
      context.setLineDash([])
    }
  }
  if (shown.labels) for (const shape of shapes) drawTag(context, shape, unit)
  try {
    return await canvas.convertToBlob()
  } catch {
    throw new Problem({
      title: 'The picture could not be drawn',
      detail: `${width} × ${height} pixels may be too many for this browser.`,
      fix: 'Ask the service for it: the copied request with format=overlay.',
    })
  }
}

/** @param {OffscreenCanvasRenderingContext2D} context @param {Path2D} outline @param {string} color @param {number} width */
function stroke(context, outline, color, width) {
  context.strokeStyle = color
  context.lineWidth = width
  context.stroke(outline)
}

/** @param {OffscreenCanvasRenderingContext2D} context @param {Shape} shape @param {number} unit */
function drawTag(context, shape, unit) {
  const text = tagOf(shape)
  context.font = `600 ${12 * unit}px Inter, system-ui, sans-serif`
  context.textBaseline = 'middle'
  const [wide, high] = [context.measureText(text).width + 14 * unit, 21 * unit]
  const x = Math.max(0, Math.min(shape.box[0], context.canvas.width - wide))
  const y = Math.max(0, shape.box[1] - high)
  context.fillStyle = shape.color
  context.beginPath()
  context.roundRect(x, y, wide, high, 5 * unit)
  context.fill()
  context.fillStyle = shape.ink
  context.fillText(text, x + 7 * unit, y + high / 2)
}
