// What is measured of the service. Each measure returns rows for the table, as those of bench/measures.mjs do.

import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { root } from '../../scripts/support/command.mjs'
import { digits, median, row } from '../rows.mjs'
import { Worker } from '../worker.mjs'

/** Sides of the pictures, pixels: a thumbnail, a picture on a page, a photograph. */
const SIZES = [
  [320, 240],
  [640, 480],
  [1280, 960],
]
const SMALL = [
  [64, 48],
  [96, 96],
  [128, 96],
]
const WORDS = ['cup', 'dog', 'car', 'cat', 'apple', 'fish', 'frog', 'pizza']
const texts = (count) => WORDS.map((_, index) => [...WORDS, ...WORDS].slice(index, index + count))

/** Far more requests a second than can be answered. */
const FLOOD = 64
/** Of what our side answers, requests a second that saturate both sides without drowning them in refusals. */
const SATURATING = 2.5
/** Work that may wait in our queue: at saturation a full queue, not time, ends the wait. */
const QUEUE = 32
const OPTIONS = { maxBatchSize: 8, maxQueueSize: QUEUE, timeoutMs: 60_000, logLevel: 'silent' }

/** How long the requests of one run leave, and how long at its beginning nothing is counted, in seconds. */
const spans = ({ quick }) => (quick ? { seconds: 6, warmup: 2 } : { seconds: 15, warmup: 3 })

async function pictures(sizes = SIZES) {
  const { default: sharp } = await import('sharp') // set-up brings it first
  const folder = path.join(root, 'bench/.cache/serve')
  mkdirSync(folder, { recursive: true })
  return Promise.all(
    sizes.map(async ([width, height]) => {
      const file = path.join(folder, `${width}x${height}.jpg`)
      await sharp(path.join(root, 'examples/scene.jpg')).resize(width, height).jpeg({ quality: 90 }).toFile(file)
      return file
    }),
  )
}

/** A side with its service, and what sends requests to it. Both are kept for all measures. */
async function service(settings, side) {
  const { model, device, dtype, threads, pair } = settings
  if (!pair[side]) {
    pair[side] = settings.sides[side]()
    const { url } = await pair[side].ask('load', { model, device, dtype, threads, options: OPTIONS })
    pair[side].url = url
  }
  pair.load ??= new Worker(process.execPath, ['bench/serve/load.mjs'], {})
  return pair[side]
}

/** One run of load against a side, and what was seen of it inside of the service. */
async function run(settings, side, load) {
  const worker = await service(settings, side)
  await worker.ask('observe')
  const answer = await settings.pair.load.ask('run', { url: worker.url, pictures: await pictures(), ...load })
  return { ...answer, ...(await worker.ask('observed')) }
}

/** Requests a second that each side answers when more come, and what an answer costs of the processor. */
async function saturation(settings, count, goal) {
  const rounds = { ours: [], reference: [] }
  const cpu = { ours: [], reference: [] }
  let inside
  const first = await run(settings, 'ours', { texts: texts(count), rate: FLOOD, seconds: 5, warmup: 2 })
  const rate = Math.max(2, Math.ceil(SATURATING * first.perSecond))
  for (let round = 0; round < settings.repeats; round += 1) {
    for (const side of ['ours', 'reference']) {
      const answer = await run(settings, side, { texts: texts(count), rate, ...spans(settings) })
      if (!(answer.perSecond > 0)) throw new Error(`${side} answered nothing: ${JSON.stringify(answer.statuses)}`)
      rounds[side].push(answer.perSecond)
      cpu[side].push(answer.cpuMs / answer.answered)
      if (side === 'ours') inside = answer
    }
  }
  const [ours, reference] = [median(rounds.ours), median(rounds.reference)]
  const note = `${digits(inside.batchSize)} calls in a batch, event loop p99 ${digits(inside.loopP99Ms)} ms`
  const what = `${count} ${count === 1 ? 'text' : 'texts'} an image`
  const [ourCpu, theirCpu] = [median(cpu.ours), median(cpu.reference)]
  return [
    row(`requests/s at saturation, ${what} (times as many)`, {
      ours,
      reference,
      unit: '1/s',
      ratio: ours / reference,
      goal,
      rounds,
      note: `${rate} requests/s came; ${note}`,
    }),
    // What others do on the machine at the same time changes this least.
    row(`processor time for an answer, ${what} (times as cheap)`, {
      ours: ourCpu,
      reference: theirCpu,
      unit: 'ms',
      ratio: theirCpu / ourCpu,
      rounds: cpu,
    }),
  ]
}

/** Each client sends a request a second, so that the load grows with their number, past what can be served. */
async function clients(settings) {
  const rows = []
  for (const count of [1, 8, 32, 128]) {
    const load = { texts: texts(1), rate: count, ...spans(settings) }
    const [ours, reference] = [await run(settings, 'ours', load), await run(settings, 'reference', load)]
    const refused = ours.statuses[429] ?? 0
    const inside = [
      `${digits(ours.perSecond)} and ${digits(reference.perSecond)} answers/s`,
      `${refused} of ours refused`,
      `wait in the queue ${digits(ours.queueMs)} ms`,
      `${digits(ours.batchSize)} calls in a batch`,
      `event loop p99 ${digits(ours.loopP99Ms)} ms`,
      `${ours.residentMb.toFixed(0)} and ${reference.residentMb.toFixed(0)} MB`,
    ]
    const name = `${count} ${count === 1 ? 'client' : 'clients'}, a request a second each`
    for (const [what, key] of [
      ['p50', 'p50Ms'],
      ['p99', 'p99Ms'],
    ])
      rows.push(
        row(`${name}: ${what}`, {
          ours: ours[key],
          reference: reference[key],
          unit: 'ms',
          note: key === 'p50Ms' ? inside.join(', ') : undefined,
        }),
      )
  }
  return rows
}

/** Twice as long under overload as it takes to fill the queue: what is accepted late waits no longer than what was early. */
async function overload(settings) {
  const { seconds, warmup } = spans(settings)
  const load = { texts: texts(1), rate: FLOOD, seconds: 2 * seconds, warmup: 2 * warmup }
  const answer = await run(settings, 'ours', load)
  const late = answer.p99LateMs / answer.p99EarlyMs
  const refusals = `${answer.statuses[429] ?? 0} of ${answer.sent} refused, within ${digits(answer.refusalP99Ms)} ms (p99)`
  return [
    row('p99 in the second half of an overload, of that in the first', {
      ours: late,
      unit: '',
      goal: '<= 1.5',
      note: `${digits(answer.p99EarlyMs)} and ${digits(answer.p99LateMs)} ms; ${refusals}`,
    }),
  ]
}

/** Resident memory by thirds of many requests, all of them answered, of small pictures: what it takes is not their pixels. */
async function growth(settings) {
  const most = settings.quick ? 300 : 10_002
  const worker = await service(settings, 'ours')
  const load = { url: worker.url, pictures: await pictures(SMALL), texts: texts(1), clients: OPTIONS.maxBatchSize }
  const ask = async (count) => {
    const { statuses } = await settings.pair.load.ask('ask', { ...load, most: count })
    if (statuses[200] !== count) throw new Error(`not all requests were answered: ${JSON.stringify(statuses)}`)
    return worker.ask('observed')
  }
  await worker.ask('observe')
  // The allocators and V8 reach their working size within the first requests.
  const seen = [await ask(Math.ceil(most / 4))]
  for (let third = 0; third < 3; third += 1) seen.push(await ask(most / 3))
  // What V8 holds ready for young objects follows the rate of requests.
  const used = ({ residentMb, spareHeapMb }) => residentMb - spareHeapMb
  const note = [
    `${seen.map((one) => used(one).toFixed(0)).join(', ')} MB resident, without what V8 holds ready, after ${Math.ceil(most / 4)} requests and after each third of ${most} more`,
    `with it ${seen.map(({ residentMb }) => residentMb.toFixed(0)).join(', ')} MB`,
    `JavaScript heap ${seen.map(({ heapMb }) => digits(heapMb)).join(', ')} MB`,
    'all answered with 200',
  ]
  return [
    row(`growth of memory over ${most} requests`, {
      ours: used(seen[3]) - used(seen[0]),
      unit: 'MB',
      goal: 'none',
      note: note.join('; '),
    }),
  ]
}

export const SERVE_MEASURES = {
  'one-text': (settings) => saturation(settings, 1, '>= 1.5'),
  'eight-texts': (settings) => saturation(settings, 8, '>= 4'),
  clients,
  overload,
  growth,
}
