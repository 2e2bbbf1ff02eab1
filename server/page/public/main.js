/** The page: a picture, what is asked of it, and what comes back. */
import { addressOf, askAbout, hasToken, untilReady } from './api.js'
import { ask, keepOnly } from './ask.js'
import { asCurl, asTypeScript } from './code.js'
import { fillSegments, part } from './dom.js'
import { FindMode } from './find-mode.js'
import { MASK_FILE, PickMode } from './pick-mode.js'
import { openExample, openPicture, watchPictures } from './picture.js'
import { hideProblem, showProblem } from './problem.js'
import { hideResults, listResults } from './results.js'
import { drawPng, saveBlob, saveJson } from './save.js'
import { draw, setTool, showPicture, useStage } from './stage.js'
import { offerWords, typedWords } from './words.js'

/**
 * What came back for one way of asking.
 * @typedef {{ request: import('./api.js').Request, answer: unknown, notes: readonly string[],
 *   shapes: (import('./shapes.js').Shape & { isShown: boolean })[] }} Outcome
 */

const find = new FindMode()
const pick = new PickMode()
/** @type {Map<FindMode | PickMode, Outcome>} */
const outcomes = new Map()
/** @type {FindMode | PickMode} */
let mode = find
/** @type {import('./picture.js').Picture | undefined} */
let picture
/** @typedef {{ id: string, label: string, sign: string, draws: boolean }} Tool @type {Tool} */
let tool
/** Of the request that is under way. @type {AbortController | undefined} */
let running
/** @type {import('./save.js').Shown} */
const shown = { masks: true, boxes: true, labels: true }

const state = part('state', HTMLParagraphElement)
const cancel = part('cancel', HTMLButtonElement)
const progress = part('progress', HTMLDivElement)
const button = (/** @type {string} */ id) => part(id, HTMLButtonElement)
const say = (/** @type {string} */ text) => {
  state.textContent = text
}

// ---------------------------------------------------------------------------------------------------------------- asking

/** Asks the service what the mode wants to know; an earlier question is given up. */
async function run() {
  if (!picture || mode.isEmpty) return
  const [asked, asker, request] = [picture, mode, mode.request()]
  running?.abort()
  const mine = new AbortController()
  running = mine
  hideProblem()
  showProgress(true)
  say('Looking…')
  const begun = performance.now()
  try {
    const answer = await ask(request, asked, mine.signal)
    if (running !== mine) return
    const { shapes, notes } = asker.read(answer)
    const isShown = (/** @type {number} */ index) => asker.kind === 'any' || index === 0
    outcomes.set(asker, {
      request,
      answer,
      notes,
      shapes: shapes.map((shape, index) => ({ ...shape, isShown: isShown(index) })),
    })
    const seconds = ((performance.now() - begun) / 1000).toFixed(2)
    const what = asker.kind === 'any' ? `${shapes.length} found` : 'Outlined'
    say(`${what} in ${seconds} s.`)
  } catch (error) {
    if (running !== mine) return
    say('')
    if (mine.signal.aborted) say('Cancelled.')
    else showProblem(error)
  }
  running = undefined
  showProgress(false)
  render()
}

/** @param {boolean} isRunning */
function showProgress(isRunning) {
  progress.hidden = !isRunning
  cancel.hidden = !isRunning
}

cancel.addEventListener('click', () => running?.abort())
document.addEventListener('keydown', ({ key }) => {
  if (key === 'Escape') running?.abort()
})

/** Gives up what is under way, and says nothing about it. */
function stop() {
  running?.abort()
  running = undefined
  showProgress(false)
}

// --------------------------------------------------------------------------------------------------------------- showing

function render() {
  const outcome = outcomes.get(mode)
  const { points, boxes, kind } = mode
  draw({ shapes: outcome?.shapes ?? [], points, boxes, shown })
  button('undo').disabled = !mode.hasMarks
  button('clear').disabled = !mode.hasMarks && !outcome
  part('code', HTMLElement).hidden = !outcome
  if (!outcome) return hideResults()
  listResults(outcome.shapes, outcome.notes, { kind, onShow: (indices) => show(outcome, indices) })
  renderCode()
}

/** @param {Outcome} outcome @param {readonly number[]} indices which of its shapes */
function show(outcome, indices) {
  for (const [index, shape] of outcome.shapes.entries()) shape.isShown = indices.includes(index)
  if (mode === pick) pick.chosen = indices[0] ?? 0
  draw({ shapes: outcome.shapes, points: mode.points, boxes: mode.boxes, shown })
}

function renderCode() {
  const request = outcomes.get(mode)?.request
  if (!request || !picture) return
  const language = document.querySelector('input[name="language"]:checked')?.getAttribute('value')
  const about = { address: addressOf(request.path), name: picture.name, hasToken: hasToken() }
  part('listing', HTMLPreElement).textContent = (language === 'curl' ? asCurl : asTypeScript)(request, about)
  part('mask-note', HTMLParagraphElement).hidden = !request.fields.some(({ file }) => file === MASK_FILE)
}
for (const input of document.querySelectorAll('input[name="language"]')) input.addEventListener('change', renderCode)

for (const input of document.querySelectorAll('.show input')) {
  input.addEventListener('change', () => {
    const { name, checked } = /** @type {HTMLInputElement} */ (input)
    shown[/** @type {keyof typeof shown} */ (name)] = checked
    const shapes = outcomes.get(mode)?.shapes ?? []
    draw({ shapes, points: mode.points, boxes: mode.boxes, shown })
  })
}

// -------------------------------------------------------------------------------------------------- the picture and marks

/** @param {Promise<import('./picture.js').Picture>} opening */
async function open(opening) {
  stop()
  hideProblem()
  try {
    picture = await opening
  } catch (error) {
    return showProblem(error)
  }
  keepOnly(picture)
  outcomes.clear()
  find.clear()
  pick.clear()
  part('empty', HTMLDivElement).hidden = true
  part('tools', HTMLDivElement).hidden = false
  showPicture(picture)
  suggest()
  say(`${picture.name}, ${picture.width} × ${picture.height}.`)
  render()
  // On a touch screen the keyboard would cover the picture.
  if (mode === find && !matchMedia('(pointer: coarse)').matches) words.focus({ preventScroll: true })
  await run()
}

watchPictures((file, name) => void open(openPicture(file, name)), showProblem)
button('example').addEventListener('click', () => void open(openExample()))

function setMode(/** @type {FindMode | PickMode} */ next) {
  stop()
  hideProblem()
  mode = next
  part('find', HTMLFormElement).hidden = mode !== find
  part('pick', HTMLFormElement).hidden = mode !== pick
  fillSegments(part('tool-choices', HTMLDivElement), 'tool', mode.tools)
  chooseTool(firstTool())
  render()
}

const firstTool = () => /** @type {Tool} */ (mode.tools[0])

/** @param {Tool} next */
function chooseTool(next) {
  tool = next
  setTool(next.draws)
  const input = document.querySelector(`input[name="tool"][value="${next.id}"]`)
  if (input instanceof HTMLInputElement) input.checked = true
}

part('mode', HTMLDivElement).addEventListener('change', ({ target }) => {
  setMode(/** @type {HTMLInputElement} */ (target).value === 'find' ? find : pick)
})
part('tool-choices', HTMLDivElement).addEventListener('change', ({ target }) => {
  const id = /** @type {HTMLInputElement} */ (target).value
  chooseTool(mode.tools.find((one) => one.id === id) ?? firstTool())
})

useStage({
  draws: true,
  onPoint(point) {
    pick.addPoint(tool.id, point)
    render()
    void run()
  },
  onBox(box) {
    mode.addBox(tool.id, box)
    render()
    void run()
  },
  onTool(sign) {
    const next = mode.tools.find((one) => one.sign === (sign === '+' ? '+' : '−'))
    if (!next) return
    chooseTool(next)
    say(next.label)
  },
  say,
})

button('undo').addEventListener('click', () => again(() => mode.undo()))
button('clear').addEventListener('click', () => again(() => mode.clear()))

/** @param {() => void} change after which the question is another one */
function again(change) {
  stop()
  hideProblem()
  change()
  if (mode.isEmpty) outcomes.delete(mode)
  say('')
  render()
  void run()
}

// ------------------------------------------------------------------------------------------------------------ the panel

const words = part('words', HTMLInputElement)
function findWords() {
  find.words = typedWords()
  if (!picture) return say('First open a picture.')
  if (find.isEmpty) {
    outcomes.delete(find)
    say('Type what to find.')
    words.focus()
    return render()
  }
  void run()
}
part('find', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  findWords()
})
part('pick', HTMLFormElement).addEventListener('submit', (event) => event.preventDefault())

const threshold = part('threshold', HTMLInputElement)
threshold.addEventListener('input', () => {
  find.threshold = Number(threshold.value)
  part('threshold-value', HTMLOutputElement).value = find.threshold.toFixed(2)
})
threshold.addEventListener('change', () => outcomes.has(find) && findWords())

const refine = part('refine', HTMLInputElement)
refine.addEventListener('change', () => {
  pick.refines = refine.checked
})

/** What is in the example, for a start. */
const EXAMPLE_WORDS = ['dog', 'cup', 'red car', 'cat', 'vehicle']
function suggest() {
  offerWords(part('suggestions', HTMLUListElement), picture?.isExample ? EXAMPLE_WORDS : [], findWords)
}

const baseName = () => picture?.name.replace(/\.[^.]*$/, '') || 'picture'
button('save-png').addEventListener('click', async () => {
  const shapes = outcomes.get(mode)?.shapes.filter(({ isShown }) => isShown) ?? []
  if (!picture) return
  const drawn = await drawPng(picture.bitmap, shapes, shown).catch(showProblem)
  if (drawn) saveBlob(drawn, `${baseName()}-masks.png`)
})
button('save-json').addEventListener('click', () => saveJson(outcomes.get(mode)?.answer, `${baseName()}.json`))
button('save-mask').addEventListener('click', () => {
  const mask = outcomes.get(mode)?.request.fields.find(({ file }) => file === MASK_FILE)
  if (mask) saveJson(JSON.parse(mask.value), MASK_FILE)
})
button('copy').addEventListener('click', async () => {
  const listing = part('listing', HTMLPreElement)
  try {
    await navigator.clipboard.writeText(listing.textContent ?? '')
    say('Copied.')
  } catch {
    // Without https only the person may copy.
    getSelection()?.selectAllChildren(listing)
    say('Selected: press Ctrl+C to copy.')
  }
})

// ------------------------------------------------------------------------------------------------------------ the model

async function tellModel() {
  const [name, chip] = [part('model-name', HTMLSpanElement), button('model')]
  const { isDemo, words: known = [] } = await askAbout()
  const own = isDemo ? 'Demo model' : 'SAM 3'
  if (isDemo) {
    part('about-title', HTMLHeadingElement).textContent = 'The demo model'
    part('about-text', HTMLParagraphElement).textContent =
      'A small model that comes with the package, to try everything on any machine. It was trained on drawings, and ' +
      `knows these ${known.length} things. Meta’s SAM 3, in its place, knows most of what has a name.`
    offerWords(part('known', HTMLUListElement), known)
    part('model-words', HTMLSpanElement).textContent = `· ${known.length} words`
    const note = part('demo-note', HTMLParagraphElement)
    note.querySelector('button')?.append(`${known.length} things`)
    note.hidden = false
  }
  chip.classList.add('waits')
  name.textContent = `Loading ${own}…`
  await untilReady()
  chip.classList.remove('waits')
  name.textContent = own
}

setMode(find)
tellModel().catch(showProblem)
