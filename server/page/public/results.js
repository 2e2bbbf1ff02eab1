/** The list of what was found. */
import { make, part } from './dom.js'
import { highlight } from './stage.js'

/** @typedef {import('./shapes.js').Shape} Shape */

const section = part('results', HTMLElement)
const title = part('results-title', HTMLHeadingElement)
const list = part('list', HTMLUListElement)
const noteList = part('notes', HTMLUListElement)

/**
 * @param {readonly (Shape & { isShown: boolean })[]} shapes
 * @param {readonly string[]} notes
 * @param {{ kind: 'any' | 'one', isFrame: boolean, onShow: (shown: readonly number[]) => void }} how `one`: masks of which one is shown;
 *   `isFrame`: it is a frame of a video
 */
export function listResults(shapes, notes, { kind, isFrame, onShow }) {
  section.hidden = false
  title.textContent =
    kind === 'one'
      ? shapes.length > 1
        ? 'Which is meant?'
        : 'Mask'
      : `${shapes.length} ${isFrame ? 'on this frame' : 'found'}`
  list.replaceChildren(...shapes.map((shape, index) => rowOf(shape, index, kind)))
  list.onchange = () =>
    onShow([...list.querySelectorAll('input')].flatMap(({ checked }, index) => (checked ? [index] : [])))
  noteList.hidden = notes.length === 0
  noteList.replaceChildren(...notes.map((note) => make('li', {}, note)))
}

export function hideResults() {
  section.hidden = true
}

/** @param {Shape & { isShown: boolean }} shape @param {number} index @param {'any' | 'one'} kind */
function rowOf({ label, score, color, isShown }, index, kind) {
  const input = make('input', { type: kind === 'one' ? 'radio' : 'checkbox', name: 'shown', checked: isShown })
  const swatch = make('i', { className: 'swatch' })
  swatch.style.background = color
  const meter = make('meter', { min: 0, max: 1, value: score, ariaHidden: 'true' })
  const number = make('span', { className: 'score' }, score.toFixed(2))
  const row = make('label', {}, input, swatch, make('b', {}, label), meter, number)
  for (const come of ['pointerenter', 'focusin'])
    row.addEventListener(come, () => highlight(input.checked ? index : undefined))
  for (const go of ['pointerleave', 'focusout']) row.addEventListener(go, () => highlight(undefined))
  return make('li', {}, row)
}
