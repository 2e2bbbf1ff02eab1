// What is measured. Each measure returns rows for the table: { name, ours, reference, unit, ratio, goal, summary, rounds }.

import { readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { root } from '../scripts/support/command.mjs'
import { digits, median, row } from './rows.mjs'

/** Lower bound of the arithmetic on an H200-class GPU, ms: image and one text, and each further text. */
const LIMIT_MS = { first: 7.7, further: 0.56 }

const QUALITIES = [
  'small',
  'large',
  'red',
  'blue',
  'green',
  'white',
  'black',
  'wooden',
  'metal',
  'plastic',
  'shiny',
  'old',
]
const THINGS = ['cup', 'spoon', 'plate', 'table', 'chair', 'car', 'dog', 'tree', 'window', 'person', 'bottle', 'book']
let asked = 0
/** Texts that no earlier request had, so that a cache of text features helps nobody. */
function freshTexts(count) {
  return Array.from({ length: count }, () => {
    const index = asked++
    return `${QUALITIES[index % 12]} ${THINGS[Math.floor(index / 12) % 12]} ${Math.floor(index / 144) || ''}`.trim()
  })
}

const loadRequest = ({ model, device, dtype, threads }) => ({ model, device, dtype, threads })

/** Both sides with their model loaded, kept for all the measures that need them. */
async function loadedPair(settings) {
  for (const side of ['ours', 'reference']) {
    if (settings.pair[side]) continue
    const worker = settings.sides[side]()
    await worker.ask('load', loadRequest(settings))
    settings.pair[side] = worker
  }
  return settings.pair
}

async function load(settings) {
  const rounds = { ours: [], reference: [] }
  for (let round = 0; round < settings.repeats; round += 1) {
    for (const side of ['ours', 'reference']) {
      const worker = settings.sides[side]()
      try {
        rounds[side].push(await worker.ask('load', loadRequest(settings)))
      } finally {
        await worker.close()
      }
    }
  }
  const compare = (name, key, goal) => {
    const [ours, reference] = ['ours', 'reference'].map((side) => median(rounds[side].map((answer) => answer[key])))
    const all = { ours: rounds.ours.map((a) => a[key]), reference: rounds.reference.map((a) => a[key]) }
    return row(name, { ours, reference, unit: 'ms', ratio: ours / reference, goal, rounds: all })
  }
  return [
    compare('model ready, against from_pretrained (share of its time)', 'ms', '<= 0.5'),
    compare('process start to model ready (share of its time)', 'startToReadyMs'),
  ]
}

/** Alternating rounds of the same request on both sides; the first of each is a warm-up. */
async function speed(settings, name, count, goal) {
  const pair = await loadedPair(settings)
  const rounds = { ours: [], reference: [] }
  const instances = { ours: [], reference: [] }
  for (let round = -1; round < settings.repeats; round += 1) {
    const texts = freshTexts(count)
    for (const side of ['ours', 'reference']) {
      // The reference has seen all its shapes after one text; further warm-up texts would only take time.
      const asked = round < 0 && side === 'reference' ? texts.slice(0, 1) : texts
      const answer = await pair[side].ask('segment', {
        image: settings.image,
        texts: asked,
        instances: settings.instances,
      })
      if (round < 0) continue
      rounds[side].push(answer.ms)
      instances[side].push(...answer.instances)
    }
  }
  const [ours, reference] = [median(rounds.ours), median(rounds.reference)]
  const note = `median instances per text ${median(instances.ours)} and ${median(instances.reference)}`
  const rows = [row(name, { ours, reference, unit: 'ms', ratio: reference / ours, goal, rounds, note })]
  if (settings.device.startsWith('cuda')) {
    const limit = LIMIT_MS.first + (count - 1) * LIMIT_MS.further
    rows.push(
      row(`${name}: times the arithmetic's lower bound`, { ours, reference: limit, unit: 'ms', ratio: ours / limit }),
    )
  }
  return rows
}

function weightBytes(folder) {
  const files = readdirSync(path.join(root, folder)).filter((name) => name.endsWith('.safetensors'))
  return files.reduce((sum, name) => sum + statSync(path.join(root, folder, name)).size, 0)
}

/** Peaks of fresh processes: one image and one text, then 8 texts. */
async function memory(settings) {
  const peaks = {}
  for (const side of ['ours', 'reference']) {
    const worker = settings.sides[side]()
    try {
      const { startToReadyMs, baseMb } = await worker.ask('load', loadRequest(settings))
      const loaded = await worker.ask('memory')
      const request = (texts) => ({ image: settings.image, texts, instances: settings.instances })
      const first = await worker.ask('segment', request(freshTexts(1)))
      const one = await worker.ask('memory')
      await worker.ask('segment', request(freshTexts(8)))
      peaks[side] = { loaded, one, eight: await worker.ask('memory'), baseMb, firstMs: startToReadyMs + first.ms }
    } finally {
      await worker.close()
    }
  }
  const { ours, reference } = peaks
  const compare = (name, key) => {
    const [a, b] = [ours[key].peakMb, reference[key].peakMb]
    return row(name, { ours: a, reference: b, unit: 'MB', ratio: a / b })
  }
  // What the reference holds beyond Python and its imports: the weights and the activations.
  const bound = reference.one.peakMb - reference.baseMb
  const weightsMb = weightBytes(settings.model) / 2 ** 20
  return [
    // Loading alone compares unlike things: the reference maps its weights and reads them during the first image.
    row('process start to the first masks (times as fast)', {
      ours: ours.firstMs,
      reference: reference.firstMs,
      unit: 'ms',
      ratio: reference.firstMs / ours.firstMs,
    }),
    compare('peak memory while loading (share of the reference)', 'loaded'),
    compare('peak memory, one image and one text (share)', 'one'),
    compare('peak memory, one image and 8 texts (share)', 'eight'),
    row('peak memory over weights and the activations of the reference', {
      ours: ours.one.peakMb,
      reference: bound,
      unit: 'MB',
      ratio: ours.one.peakMb / bound,
      goal: '<= 1.2',
      note: `weight file ${weightsMb.toFixed(0)} MB`,
    }),
  ]
}

async function eventLoop(settings) {
  const { ours } = await loadedPair(settings)
  const request = () => ({ image: settings.image, text: freshTexts(1)[0], instances: settings.instances })
  await ours.ask('eventLoop', request())
  const rounds = []
  for (let round = 0; round < settings.repeats; round += 1) rounds.push(await ours.ask('eventLoop', request()))
  const over = (key) => median(rounds.map((answer) => answer[key]))
  return [
    row('event loop p99 delay while an image runs', {
      ours: over('p99Ms'),
      unit: 'ms',
      goal: '< 20',
      rounds: { ours: rounds.map((r) => r.p99Ms) },
      note: `worst ${digits(Math.max(...rounds.map((r) => r.maxMs)))} ms`,
    }),
  ]
}

/** The tiny model, for what does not depend on the size of the network. */
const TINY = 'models/demo'

async function overhead(settings) {
  const worker = settings.sides.ours()
  const calls = settings.quick ? 2000 : 20000
  try {
    const answers = []
    for (let round = 0; round < settings.repeats; round += 1)
      answers.push(await worker.ask('overhead', { model: TINY, calls }))
    const rounds = answers.map(({ us }) => us)
    return [
      row('overhead of one awaited call', { ours: median(rounds), unit: 'us', goal: '< 50', rounds: { ours: rounds } }),
    ]
  } finally {
    await worker.close()
  }
}

async function growth(settings) {
  const worker = settings.sides.ours()
  try {
    await worker.ask('load', { ...loadRequest(settings), model: TINY })
    const { calls, beforeMb, afterMb, heapMb } = await worker.ask('growth', {
      image: 'examples/coffee.jpg',
      texts: freshTexts(16),
      instances: settings.instances,
      calls: settings.quick ? 100 : 1000,
    })
    const note = `${digits(beforeMb)} to ${digits(afterMb)} MB resident, JavaScript heap ${digits(heapMb)} MB`
    return [
      row(`growth of memory over ${calls} calls (tiny model)`, {
        ours: afterMb - beforeMb,
        unit: 'MB',
        goal: 'none',
        note,
      }),
    ]
  } finally {
    await worker.close()
  }
}

/** In the order in which they run: what needs a quiet machine and fresh processes first. */
export const MEASURES = {
  load,
  memory,
  'one-text': (settings) => speed(settings, 'one image, one text (times as fast)', 1, '>= 1.25'),
  'eight-texts': (settings) =>
    speed(settings, 'one image, 8 texts against 8 reference calls (times as fast)', 8, '>= 5'),
  'event-loop': eventLoop,
  overhead,
  growth,
}
