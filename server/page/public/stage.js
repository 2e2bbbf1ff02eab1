/** The picture with what is drawn over it, and the pointer and keys that mark it. */
import { make, makeSvg, part } from './dom.js'
import { tagOf } from './shapes.js'

/**
 * @typedef {import('./shapes.js').Point} Point
 * @typedef {import('./shapes.js').Box} Box
 * @typedef {import('./shapes.js').Shape} Shape
 * @typedef {{ shapes: readonly (Shape & { isShown: boolean })[], points: readonly { point: Point, isPositive: boolean }[],
 *   boxes: readonly { box: Box, isPositive: boolean }[], shown: import('./save.js').Shown }} Drawing
 */

const table = part('table', HTMLDivElement)
const frame = part('frame', HTMLDivElement)
const canvas = part('picture', HTMLCanvasElement)
const svg = part('shapes', SVGSVGElement)
const tags = part('tags', HTMLDivElement)
const cross = part('cross', HTMLDivElement)

/** Pixels of the screen below which a drag is a click. */
const LEAST_DRAG = 4
/** Part of the longer side by which an arrow key moves the cross-hair. */
const STEP = 1 / 50
const MARK = { positive: '#0b7a48', negative: '#c02f33' }

const size = { width: 1, height: 1 }
/** Where the keys have the cross-hair. @type {Point} */
let at = [0, 0]
/** The first corner of a box that is being drawn. @type {Point | undefined} */
let corner

/** @type {{ draws: boolean, onPoint(point: Point): void, onBox(box: Box): void, onTool(step: '+' | '-'): void, say(text: string): void }} */
let hands

/** @param {typeof hands} given what to do with marks; `draws`: whether the tool draws boxes, may change */
export function useStage(given) {
  hands = given
}

/** @param {boolean} draws whether the tool draws boxes */
export function setTool(draws) {
  hands.draws = draws
  dropCorner()
  frame.classList.toggle('draws', draws)
}

/** @param {import('./subject.js').Subject} subject */
export function openOnStage({ pixels, width, height, name }) {
  Object.assign(size, { width, height })
  Object.assign(canvas, { width, height })
  drawPixels(pixels)
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
  at = [Math.round(width / 2), Math.round(height / 2)]
  frame.ariaLabel = `Picture ${name}, ${width} by ${height} pixels`
  frame.hidden = false
  dropCorner()
  fit()
}

/** What is drawn over, at its own size. */
export const stagePixels = canvas

/** @param {CanvasImageSource} pixels of the size of what is on the stage */
export function drawPixels(pixels) {
  canvas.getContext('2d')?.drawImage(pixels, 0, 0)
}

/** As large as there is room, but nothing tiny is blown up beyond three times. */
function fit() {
  const style = getComputedStyle(table)
  const room = table.clientWidth - 2 * Number.parseFloat(style.paddingLeft)
  // Where the table grows with its picture (small screens), two thirds of the window are the limit.
  const isFixed = getComputedStyle(table.parentElement ?? table).position === 'sticky'
  const high = isFixed ? table.clientHeight - 2 * Number.parseFloat(style.paddingTop) : window.innerHeight * 0.66
  const scale = Math.min(room / size.width, high / size.height, 3)
  frame.style.width = `${Math.floor(size.width * scale)}px`
  frame.style.height = `${Math.floor(size.height * scale)}px`
}
new ResizeObserver(() => {
  fit()
  placeTags()
}).observe(table)

/** @param {Drawing} drawing */
export function draw({ shapes, points, boxes, shown }) {
  svg.replaceChildren()
  tags.replaceChildren()
  for (const [index, shape] of shapes.entries()) {
    if (!shape.isShown) continue
    const group = makeSvg('g', { 'data-index': index })
    const [x, y, x1, y1] = shape.box
    if (shown.masks) {
      const outline = { d: shape.path, 'fill-rule': 'evenodd' }
      group.append(
        makeSvg('path', { ...outline, class: 'case' }),
        makeSvg('path', { ...outline, class: 'line', fill: shape.color, stroke: shape.color }),
      )
    }
    if (shown.boxes)
      group.append(makeSvg('rect', { x, y, width: x1 - x, height: y1 - y, class: 'box', stroke: shape.color }))
    svg.append(group)
    if (!shown.labels) continue
    const tag = make('span', { className: 'tag' }, tagOf(shape))
    Object.assign(tag.dataset, { index, x, y })
    Object.assign(tag.style, { background: shape.color, color: shape.ink })
    tags.append(tag)
  }
  for (const { box, isPositive } of boxes) svg.append(rectOf(box, isPositive))
  for (const { point, isPositive } of points) {
    const mark = make('span', { className: isPositive ? 'point' : 'point negative' }, isPositive ? '+' : '−')
    place(mark, point)
    tags.append(mark)
  }
  placeTags()
}

/** @param {Box} box @param {boolean} isPositive */
function rectOf([x0, y0, x1, y1], isPositive) {
  const [x, y, width, height] = [Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)]
  return makeSvg('rect', {
    x,
    y,
    width,
    height,
    class: 'prompt-box',
    stroke: isPositive ? MARK.positive : MARK.negative,
  })
}

/** @param {HTMLElement} element @param {Point} point */
function place(element, [x, y]) {
  element.style.left = `${(x / size.width) * 100}%`
  element.style.top = `${(y / size.height) * 100}%`
}

/** Labels stand on their boxes, and within the picture. */
function placeTags() {
  const { clientWidth: wide, clientHeight: high } = frame
  for (const tag of /** @type {NodeListOf<HTMLElement>} */ (tags.querySelectorAll('.tag'))) {
    const x = (Number(tag.dataset.x) / size.width) * wide
    const y = (Number(tag.dataset.y) / size.height) * high
    tag.style.left = `${Math.max(0, Math.min(x, wide - tag.offsetWidth))}px`
    tag.style.top = `${Math.max(0, y)}px`
    tag.classList.toggle('inside', y < tag.offsetHeight)
  }
}

/** Lets one shape stand out. @param {number | undefined} index undefined: none does */
export function highlight(index) {
  for (const element of [...svg.querySelectorAll('g'), ...tags.querySelectorAll('.tag')])
    element.classList.toggle('faint', index !== undefined && element.getAttribute('data-index') !== String(index))
}

// ------------------------------------------------------------------------------------------------------------- pointer

/** @param {PointerEvent} event @returns {Point} a pixel of the picture */
function pixelAt({ clientX, clientY }) {
  const { left, top, width, height } = frame.getBoundingClientRect()
  return within([((clientX - left) / width) * size.width, ((clientY - top) / height) * size.height])
}

/** @param {Point} point @returns {Point} */
function within([x, y]) {
  const clamp = (/** @type {number} */ value, /** @type {number} */ most) =>
    Math.round(Math.max(0, Math.min(value, most)) * 10) / 10
  return [clamp(x, size.width - 1), clamp(y, size.height - 1)]
}

/** @param {Point} a @param {Point} b @returns {Box} */
const boxOf = ([x0, y0], [x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)]

/** @type {SVGElement | undefined} */
let rubber
/** @param {Point} from @param {Point} to */
function stretch(from, to) {
  rubber?.remove()
  rubber = rectOf([...from, ...to], true)
  svg.append(rubber)
}
function dropCorner() {
  corner = undefined
  rubber?.remove()
  rubber = undefined
}

/** @type {{ point: Point, x: number, y: number } | undefined} */
let pressed
frame.addEventListener('pointerdown', (event) => {
  if (event.button !== 0 || !event.isPrimary) return
  frame.setPointerCapture(event.pointerId)
  cross.hidden = true
  dropCorner()
  pressed = { point: pixelAt(event), x: event.clientX, y: event.clientY }
})
frame.addEventListener('pointermove', (event) => {
  if (pressed && hands.draws) stretch(pressed.point, pixelAt(event))
})
frame.addEventListener('pointercancel', () => {
  pressed = undefined
  dropCorner()
})
frame.addEventListener('pointerup', (event) => {
  if (!pressed) return
  const { point, x, y } = pressed
  pressed = undefined
  dropCorner()
  if (!hands.draws) return hands.onPoint(point)
  finishBox(point, pixelAt(event), Math.hypot(event.clientX - x, event.clientY - y) >= LEAST_DRAG)
})

/** @param {Point} from @param {Point} to @param {boolean} isMeant */
function finishBox(from, to, isMeant) {
  const box = boxOf(from, to)
  if (isMeant && box[2] - box[0] >= 1 && box[3] - box[1] >= 1) return hands.onBox(box)
  hands.say('Drag from one corner to the other to draw a box.')
}

// ---------------------------------------------------------------------------------------------------------------- keys

/** @type {Record<string, Point>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }

frame.addEventListener('keydown', (event) => {
  const { key, shiftKey, ctrlKey, metaKey, altKey } = event
  if (ctrlKey || metaKey || altKey) return
  const arrow = ARROWS[key]
  if (arrow) move(arrow, shiftKey ? 1 : Math.max(1, Math.round(Math.max(size.width, size.height) * STEP)))
  else if (key === 'Enter' || key === ' ') press()
  else if (key === '+' || key === '-') hands.onTool(key)
  else if (key === 'Escape' && corner) dropCorner()
  else return
  event.preventDefault()
})
frame.addEventListener('blur', () => {
  cross.hidden = true
})

/** @param {Point} direction @param {number} step */
function move([dx, dy], step) {
  at = within([at[0] + dx * step, at[1] + dy * step])
  cross.hidden = false
  place(cross, at)
  if (corner) stretch(corner, at)
  hands.say(`Cross-hair at ${Math.round(at[0])}, ${Math.round(at[1])}.`)
}

function press() {
  if (!hands.draws) return hands.onPoint(at)
  if (corner) {
    const from = corner
    dropCorner()
    return finishBox(from, at, true)
  }
  corner = at
  hands.say(`First corner at ${Math.round(at[0])}, ${Math.round(at[1])}. Move, and press again.`)
}
