/** The page: a picture or a video, what is asked of it, and what comes back. */
import { askAbout, untilReady } from './api.js'
import { fillSegments, part } from './dom.js'
import { FindMode } from './find-mode.js'
import { openExample, openFile, watchFiles } from './open.js'
import { MASK_FILE, PickMode } from './pick-mode.js'
import { hideProblem, showProblem } from './problem.js'
import { hideResults, listResults } from './results.js'
import { drawPng, saveBlob, saveJson } from './save.js'
import { draw, drawPixels, openOnStage, setTool, stagePixels, useStage } from './stage.js'
import { drawTimeline, useTimeline } from './timeline.js'
import { offerWords, typedWords } from './words.js'

/** @typedef {import('./subject.js').Mode} Mode */
/** @typedef {{ id: string, label: string, sign: string, draws: boolean }} Tool */
/** @typedef {import('./picture.js').Picture | import('./video.js').Video} Opened */

const find = new FindMode()
const pick = new PickMode()
/** @type {Mode} */
let mode = find
/** @type {Tool} */
let tool
/** What is on the table. @type {Opened | undefined} */
let subject
/** Of the request that is under way. @type {AbortController | undefined} */
let running
/** @type {import('./save.js').Shown} */
const shown = { masks: true, boxes: true, labels: true }

const state = part('state', HTMLParagraphElement)
const words = part('words', HTMLInputElement)
const listing = part('listing', HTMLPreElement)
const button = (/** @type {string} */ id) => part(id, HTMLButtonElement)
const say = (/** @type {string} */ text) => {
  state.textContent = text
}

// ---------------------------------------------------------------------------------------------------------------- asking

/**
 * Does one thing at a time; what was being done is given up.
 * @param {string} doing what to say meanwhile
 * @param {(signal: AbortSignal) => Promise<string>} work gives what to say when it is done
 */
async function run(doing, work) {
  running?.abort()
  const mine = new AbortController()
  running = mine
  hideProblem()
  showProgress(true)
  say(doing)
  const begun = performance.now()
  try {
    const done = await work(mine.signal)
    if (running !== mine) return
    say(`${done} in ${((performance.now() - begun) / 1000).toFixed(2)} s.`)
  } catch (error) {
    if (running !== mine) return
    say(mine.signal.aborted ? 'Cancelled.' : '')
    if (!mine.signal.aborted) showProblem(error)
  }
  running = undefined
  showProgress(false)
  render()
}

/** Asks what the mode wants to know. */
async function ask() {
  const [asked, asker] = [subject, mode]
  if (!asked || asker.isEmpty) return
  await run('Looking…', async (signal) => {
    await asked.ask(asker, signal)
    return asker.kind === 'any' ? `${asked.outcome(asker)?.shapes.length ?? 0} found` : 'Outlined'
  })
}

async function follow() {
  const video = subject
  if (!video?.isVideo) return
  let frames = 0
  await run('Following…', async (signal) => {
    await video.follow(signal, (index) => {
      frames++
      say(`Following: frame ${index + 1} of ${video.movie.count}.`)
      void video.movie.seek(index)
      drawTimeline()
    })
    return `Followed through ${frames} frames`
  })
}
button('follow').addEventListener('click', () => void follow())

/** @param {boolean} isRunning */
function showProgress(isRunning) {
  part('progress', HTMLDivElement).hidden = !isRunning
  button('cancel').hidden = !isRunning
}

button('cancel').addEventListener('click', () => running?.abort())
document.addEventListener('keydown', ({ key }) => {
  if (key === 'Escape') running?.abort()
})

/** Gives up what is under way, and says nothing about it. */
function stop() {
  running?.abort()
  running = undefined
  showProgress(false)
  hideProblem()
}

// --------------------------------------------------------------------------------------------------------------- showing

/** Draws over the picture. */
function redraw() {
  const shapes = subject?.outcome(mode)?.shapes ?? []
  // In a video, marks are on the frame that they were made on.
  const { points, boxes } = isMarkedHere() ? mode : { points: [], boxes: [] }
  draw({ shapes, points, boxes, shown })
}

const isMarkedHere = () => !subject?.isVideo || mode.frame === subject.movie.index

function render() {
  redraw()
  const outcome = subject?.outcome(mode)
  button('undo').disabled = !mode.hasMarks
  button('clear').disabled = !mode.hasMarks && !outcome
  button('follow').disabled = !(subject?.isVideo && subject.isAsked)
  part('code', HTMLElement).hidden = !outcome
  drawTimeline()
  if (!outcome) return hideResults()
  const isFrame = subject?.isVideo ?? false
  listResults(outcome.shapes, outcome.notes, { kind: isFrame ? 'any' : mode.kind, isFrame, onShow: show })
  renderCode()
}

/** @param {readonly number[]} indices of the shapes that are shown from now on */
function show(indices) {
  subject?.show(mode, indices)
  redraw()
}

function renderCode() {
  const outcome = subject?.outcome(mode)
  if (!outcome) return
  const isCurl = document.querySelector('input[name="language"]:checked')?.getAttribute('value') === 'curl'
  listing.textContent = outcome.listing(isCurl ? 'curl' : 'typescript')
  part('mask-note', HTMLParagraphElement).hidden = outcome.mask === undefined
}
for (const input of document.querySelectorAll('input[name="language"]')) input.addEventListener('change', renderCode)

for (const input of document.querySelectorAll('.show input')) {
  input.addEventListener('change', () => {
    const { name, checked } = /** @type {HTMLInputElement} */ (input)
    shown[/** @type {keyof typeof shown} */ (name)] = checked
    redraw()
  })
}

// -------------------------------------------------------------------------------------------------- what is on the table

/** @param {Promise<Opened>} opening */
async function open(opening) {
  stop()
  let next
  try {
    next = await opening
  } catch (error) {
    return showProblem(error)
  }
  subject?.close()
  subject = next
  find.clear()
  pick.clear()
  part('empty', HTMLDivElement).hidden = true
  part('tools', HTMLDivElement).hidden = false
  for (const element of document.querySelectorAll('.of-pictures')) element.toggleAttribute('hidden', next.isVideo)
  useTimeline(next.isVideo ? next : undefined)
  openOnStage(next)
  if (next.isVideo) {
    next.movie.onFrame = () => {
      drawPixels(next.pixels)
      // While it plays or is followed, the list would change under the reader's hands.
      if (next.movie.isPlaying || running) {
        redraw()
        drawTimeline()
      } else render()
    }
  }
  offerWords(part('suggestions', HTMLUListElement), next.isExample ? wordsOfExample(next.isVideo) : [], findWords)
  say(`${next.name}, ${next.width} × ${next.height}.`)
  render()
  // On a touch screen the keyboard would cover the picture.
  if (mode === find && !matchMedia('(pointer: coarse)').matches) words.focus({ preventScroll: true })
  if (next.isVideo) await run('Sending the video…', (signal) => next.begin(signal).then(() => 'Opened'))
  await ask()
}

watchFiles((file, name) => void open(openFile(file, name)), showProblem)
button('example').addEventListener('click', () => void open(openExample('example.jpg', 'scene.jpg')))
button('example-video').addEventListener('click', () => void open(openExample('example.webm', 'clip.webm')))
addEventListener('pagehide', () => subject?.close())

// ----------------------------------------------------------------------------------------------------------------- marks

function setMode(/** @type {Mode} */ next) {
  stop()
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

/** @param {() => void} change of the marks, after which the question is another one */
function mark(change) {
  if (subject?.isVideo) {
    if (!isMarkedHere()) mode.clear()
    mode.frame = subject.movie.index
  }
  change()
  render()
  void ask()
}

useStage({
  draws: true,
  onPoint: (point) => mark(() => pick.addPoint(tool.id, point)),
  onBox: (box) => mark(() => mode.addBox(tool.id, box)),
  onTool(sign) {
    const next = mode.tools.find((one) => one.sign === (sign === '+' ? '+' : '−'))
    if (!next) return
    chooseTool(next)
    say(next.label)
  },
  say,
})

/** @param {() => void} change that takes marks back */
function unmark(change) {
  stop()
  change()
  if (mode.isEmpty) subject?.forget(mode)
  say('')
  render()
  void ask()
}
button('undo').addEventListener('click', () => unmark(() => mode.undo()))
button('clear').addEventListener('click', () => {
  if (mode === find) {
    words.value = ''
    find.words = []
  }
  unmark(() => mode.clear())
})

// ------------------------------------------------------------------------------------------------------------ the panel

/** What is in an example, for a start. @param {boolean} isVideo */
function wordsOfExample(isVideo) {
  return isVideo ? ['dog', 'soccer ball'] : ['dog', 'cup', 'red car', 'cat', 'vehicle']
}

function findWords() {
  find.words = typedWords()
  if (!subject) return say('First open a picture or a video.')
  if (!find.isEmpty) return void ask()
  unmark(() => {})
  say('Type what to find.')
  words.focus()
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
threshold.addEventListener('change', () => void ask())

const refine = part('refine', HTMLInputElement)
refine.addEventListener('change', () => {
  pick.refines = refine.checked
})

const baseName = () => subject?.name.replace(/\.[^.]*$/, '') || 'picture'
button('save-png').addEventListener('click', async () => {
  const shapes = subject?.outcome(mode)?.shapes.filter(({ isShown }) => isShown) ?? []
  const drawn = await drawPng(stagePixels, shapes, shown).catch(showProblem)
  if (drawn) saveBlob(drawn, `${baseName()}-masks.png`)
})
button('save-json').addEventListener('click', () => saveJson(subject?.outcome(mode)?.answer, `${baseName()}.json`))
button('save-mask').addEventListener('click', () => {
  const mask = subject?.outcome(mode)?.mask
  if (mask) saveJson(JSON.parse(mask), MASK_FILE)
})
button('copy').addEventListener('click', async () => {
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
