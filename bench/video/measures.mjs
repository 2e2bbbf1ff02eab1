// What is measured of videos. Each measure returns rows for the table, as those of bench/measures.mjs do.

import { digits, median, row } from '../rows.mjs'
import { clickPoints, makeClip } from './clip.mjs'

/** What Meta publishes: frames per second of one object on an H100. */
const PUBLISHED = 'Meta publishes 26 (SAM 3) and 34 (SAM 3.1) at one object on an H100'
/** Frames that a memory bank holds: from the next one on every frame costs the same. */
const FULL_MEMORY = 7
/** In a shorter clip the last two frames count, with what memory they have. */
export const firstCounted = (frames) => Math.min(FULL_MEMORY, frames - 2)
/** Times as fast as the reference on a CPU, by the number of objects. */
const GOALS = { 1: '>= 1', 16: '>= 1.5' }
/** The tiny model, for what does not depend on the size of the network. */
const TINY = 'models/demo'

export const loadRequest = ({ model, device, dtype, threads }) => ({ model, device, dtype, threads })
export const second = (ms) => 1000 / ms

/** Milliseconds of each stage over all frames. */
export function stageSums(stages) {
  const sums = {}
  for (const frame of stages) for (const [name, ms] of Object.entries(frame)) sums[name] = (sums[name] ?? 0) + ms
  return sums
}

/** Where a frame's time went, largest first, as percentages. */
export function shares(stages) {
  const sums = stageSums(stages)
  const total = Object.values(sums).reduce((a, b) => a + b, 0)
  return Object.entries(sums)
    .filter(([, ms]) => ms > 0.005 * total)
    .sort((a, b) => b[1] - a[1])
    .map(([name, ms]) => `${name} ${Math.round((100 * ms) / total)} %`)
    .join(', ')
}

/** Both sides with their model loaded. */
async function loadPair(settings, kind) {
  const pair = { ours: settings.sides.ours(), reference: settings.sides.reference() }
  for (const worker of Object.values(pair)) await worker.ask('load', { kind, ...loadRequest(settings) })
  return pair
}

/** The frames of one clip on both sides in turns; the stages are of sides that tell them. */
export async function follow(settings, pair, request) {
  const { promptMs } = await pair.ours.ask('start', { ...request, options: request.options.ours })
  await pair.reference.ask('start', {
    clip: request.clip,
    objects: request.objects,
    points: request.points,
    text: request.text,
    options: request.options.reference,
  })
  const rounds = { ours: [], reference: [] }
  const stages = { ours: [], reference: [] }
  let tracked
  for (let frame = 0; frame < settings.frames; frame += 1) {
    tracked = {}
    for (const side of ['ours', 'reference']) {
      const answer = await pair[side].ask('frame')
      rounds[side].push(answer.ms)
      tracked[side] = answer.objects
      if (answer.stages && frame >= firstCounted(settings.frames)) stages[side].push(answer.stages)
    }
  }
  const { bytes } = await pair.ours.ask('end')
  return { rounds, stages, tracked, promptMs, bytes }
}

/** Median milliseconds of the frames that count, and the median of how many times as fast ours was. */
export function frameTimes({ frames }, rounds) {
  const [ours, reference] = ['ours', 'reference'].map((side) => rounds[side].slice(firstCounted(frames)))
  const ratio = median(ours.map((ms, index) => reference[index] / ms))
  return { ours: median(ours), reference: median(reference), ratio }
}

function speedRow(settings, name, { rounds, stages, tracked, promptMs }, objects) {
  const { ours, reference, ratio } = frameTimes(settings, rounds)
  const notes = [`${digits(ours)} against ${digits(reference)} ms a frame`, shares(stages.ours)]
  if (promptMs !== undefined) notes.push(`prompts ${digits(promptMs)} ms`)
  if (tracked.ours !== tracked.reference) notes.push(`tracked ${tracked.ours} and ${tracked.reference} objects`)
  if (objects === 1 && settings.device.startsWith('cuda')) notes.push(PUBLISHED)
  return row(name, {
    ours: second(ours),
    reference: second(reference),
    unit: 'frames/s',
    ratio,
    goal: settings.device === 'cpu' ? GOALS[objects] : undefined,
    rounds,
    note: notes.join('; '),
  })
}

export const plural = (count, thing) => `${count} ${thing}${count === 1 ? '' : 's'}`

async function clicks(settings) {
  const pair = await loadPair(settings, 'clicks')
  const clip = await makeClip(settings.frames)
  const rows = []
  try {
    for (const objects of settings.objects) {
      // The reference's tracker looks back at the last frames, whatever they show.
      const options = { ours: { useMemorySelection: false, resample: 'bicubic' }, reference: {} }
      const request = { kind: 'clicks', clip, objects, points: clickPoints(objects), text: '', options }
      const measured = await follow(settings, pair, request)
      rows.push(speedRow(settings, `${plural(objects, 'clicked object')} (times as fast)`, measured, objects))
      console.log(`  ${rows.at(-1).summary}`)
    }
    return rows
  } finally {
    for (const worker of Object.values(pair)) await worker.close()
  }
}

/**
 * Thresholds under which random weights find and keep `objects` objects: every detection counts, none is suppressed, and
 * the limit on objects decides. Under both sides' own names.
 */
export function everything(objects) {
  const shared = {
    score_threshold_detection: 0,
    det_nms_thresh: 0,
    new_det_thresh: 0,
    hotstart_delay: 0,
    hotstart_unmatch_thresh: 0,
    hotstart_dup_thresh: 0,
    max_num_objects: objects,
    recondition_every_nth_frame: 0,
    suppress_overlapping_based_on_recent_occlusion_threshold: 0,
  }
  const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())
  return {
    reference: shared,
    ours: {
      ...Object.fromEntries(Object.entries(shared).map(([name, value]) => [camel(name), value])),
      useMemorySelection: false,
    },
  }
}

async function concepts(settings) {
  const pair = await loadPair(settings, 'text')
  const clip = await makeClip(settings.frames)
  const rows = []
  try {
    for (const objects of settings.objects) {
      const options = everything(objects)
      const request = { kind: 'text', clip, objects, points: [], text: 'coffee cup', options }
      const measured = await follow(settings, pair, request)
      rows.push(speedRow(settings, `a text with ${plural(objects, 'object')} (times as fast)`, measured, objects))
      console.log(`  ${rows.at(-1).summary}`)
    }
    return rows
  } finally {
    for (const worker of Object.values(pair)) await worker.close()
  }
}

/** A long session of the tiny model in a fresh process. */
async function long(settings, request) {
  const worker = settings.sides.ours()
  try {
    await worker.ask('load', { ...loadRequest(settings), model: TINY })
    return await worker.ask('long', { objects: 2, side: 96, ...request })
  } finally {
    await worker.close()
  }
}

async function memoryCurve(settings) {
  const frames = settings.quick ? 200 : 2000
  const early = frames / 10
  const { curve, ms } = await long(settings, { frames, history: 'bounded', every: frames / 20 })
  const at = (frame) => curve.findLast((sample) => sample.frame <= frame)
  const [first, last] = [at(early), curve.at(-1)]
  const points = curve.map(({ frame, residentMb }) => `${frame}: ${residentMb.toFixed(0)}`).join(', ')
  return [
    row(`growth of memory from frame ${early} to frame ${frames} (tiny model, bounded)`, {
      ours: last.residentMb - first.residentMb,
      unit: 'MB',
      goal: 'none',
      rounds: { ours: curve },
      note: `resident MB by frame ${points}; ${digits(ms / frames)} ms a frame`,
    }),
    row('memory that a bounded session holds at its end (tiny model)', {
      ours: (last.hostBytes + last.deviceBytes) / 2 ** 20,
      unit: 'MB',
    }),
  ]
}

async function fullHistory(settings) {
  const frames = settings.quick ? 50 : 200
  const { curve } = await long(settings, { frames, history: 'full', every: frames / 10 })
  const [first, last] = [curve[1], curve.at(-1)]
  const perFrame = (last.hostBytes - first.hostBytes) / (last.frame - first.frame)
  return [
    row('host memory of a full history, each frame (tiny model, 2 objects)', {
      ours: perFrame / 1024,
      unit: 'kB',
      rounds: { ours: curve },
      note: `resident memory grew by ${digits(((last.residentMb - first.residentMb) * 1024) / (last.frame - first.frame))} kB a frame`,
    }),
  ]
}

/** In the order in which they run. */
export const VIDEO_MEASURES = { clicks, concepts, 'memory-curve': memoryCurve, 'full-history': fullHistory }
/** The prompted frame, and two that are tracked. */
export const MINIMUM_FRAMES = 3
