// What Object Multiplex is worth: SAM 3.1 beside SAM 3, both in this library.

import { digits, row } from '../rows.mjs'
import { makeClip } from './clip.mjs'
import { everything, follow, frameTimes, loadRequest, plural, second, shares, stageSums } from './measures.mjs'

/** Times as fast as SAM 3, by the number of objects: the whole frame, and the tracker's part of it. */
const FRAME_GOALS = { 1: '>= 0.9', 16: '>= 1.5' }
const TRACKER_GOALS = { 16: '>= 3' }
/** The stages that the tracker has to itself. */
const TRACKER = ['attend', 'decode', 'memory']

function trackerMs(stages) {
  const sums = stageSums(stages)
  return TRACKER.reduce((total, name) => total + (sums[name] ?? 0), 0) / stages.length
}

/** The rows of one number of objects. */
function rowsOf(settings, { rounds, stages, tracked, bytes }, objects) {
  const { ours, reference, ratio } = frameTimes(settings, rounds)
  const notes = [`${digits(ours)} against ${digits(reference)} ms a frame`]
  notes.push(`SAM 3.1: ${shares(stages.ours)}`, `SAM 3: ${shares(stages.reference)}`)
  if (tracked.ours !== objects || tracked.reference !== objects)
    notes.push(`tracked ${tracked.ours} and ${tracked.reference} objects`)
  const [part, partBefore] = [trackerMs(stages.ours), trackerMs(stages.reference)]
  const perObject = (side) => bytes[side] / tracked[side] / settings.frames / 1024
  const name = `a text with ${plural(objects, 'object')}`
  return [
    row(`${name}: frames (times as fast)`, {
      ours: second(ours),
      reference: second(reference),
      unit: 'frames/s',
      ratio,
      goal: FRAME_GOALS[objects],
      rounds,
      note: notes.join('; '),
    }),
    row(`${name}: the tracker's part (times as fast)`, {
      ours: part,
      reference: partBefore,
      unit: 'ms',
      ratio: partBefore / part,
      goal: TRACKER_GOALS[objects],
    }),
    row(`${name}: what the session holds, for each object and frame`, {
      ours: perObject('ours'),
      reference: perObject('reference'),
      unit: 'kB',
    }),
  ]
}

async function multiplex(settings) {
  const [sam3, sam31] = settings.models
  const pair = { ours: settings.sides.ours(), reference: settings.sides.ours() }
  const clip = await makeClip(settings.frames)
  const rows = []
  try {
    await pair.reference.ask('load', loadRequest({ ...settings, model: sam3 }))
    await pair.ours.ask('load', loadRequest({ ...settings, model: sam31 }))
    for (const objects of settings.objects) {
      const options = everything(objects).ours
      const request = {
        kind: 'text',
        clip,
        objects,
        points: [],
        text: 'coffee cup',
        options: { ours: options, reference: options },
      }
      const measured = await follow(settings, pair, request)
      const bytes = { ours: measured.bytes, reference: (await pair.reference.ask('end')).bytes }
      rows.push(...rowsOf(settings, { ...measured, bytes }, objects))
      for (const { name, summary } of rows.slice(-3)) console.log(`  ${name}: ${summary}`)
    }
    return rows
  } finally {
    for (const worker of Object.values(pair)) await worker.close()
  }
}

/** `npm run bench -- video --model-kind 3.1` */
export const KIND_MEASURES = { multiplex }
