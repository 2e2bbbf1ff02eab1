/** Videos of SAM 3.1 against what the reference computed, through the whole library: texts, boxes, both directions. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { FrameResult, PropagateOptions, SessionOptions } from '../../../../lib/index.js'
import { largestDifference } from '../../../support/compare.js'
import { rejection } from '../../../support/model.js'
import { multiplexModel, multiplexRoot, repositoryRoot } from '../../../support/paths.js'
import { SafetensorsFile } from '../../../support/safetensors.js'
import { readClip, TestSource } from '../../../support/video.js'
import { useVideoModel } from '../../../support/video-model.js'

interface Op {
  op: 'prompt' | 'propagate' | 'points' | 'remove'
  frame: number
  text?: string
  boxes?: number[][]
  labels?: number[]
  obj_id: number
  points: number[][]
  clear?: boolean
  start: number
  reverse?: boolean
  max?: number
  stop_after?: number
  error?: string
}
interface Output {
  op: number
  frame: number
  obj_ids: number[]
  area: number[]
  stats?: { num_obj_tracked: number; num_obj_dropped: number }
}
interface Run {
  what: string
  S: number
  overrides: Record<string, number | boolean>
  repair?: string | null
  ops: Op[]
  outputs: Output[]
  crafted?: unknown
}

/** The set's own clip, that of the set beside it, or ours. */
function clipFolder(): string {
  const own = path.join(repositoryRoot, 'test/fixtures/golden/images')
  for (const images of [path.join(multiplexRoot, 'images'), path.join(multiplexRoot, '../public/images'), own]) {
    try {
      const name = readdirSync(images).find((one) => /^clip_\d+x\d+$/.test(one))
      if (name) return path.join(images, name)
    } catch {} // not there
  }
  throw new Error(`No clip belongs to ${multiplexRoot}.`)
}

const read = (file: string) => JSON.parse(readFileSync(path.join(multiplexRoot, file), 'utf8'))
const runs: Record<string, Run> = read('cases/video.json')
const slots: number = read('model/config.json').multiplex.multiplex_count
const tensors = new SafetensorsFile(path.join(multiplexRoot, 'cases/video.safetensors'))
const camelCase = (name: string) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
/** Every repair left out, but for the lost anchor, which the set has with and without. */
const AS_IN_THE_REFERENCE: SessionOptions = {
  useBoxesInPropagation: false,
  followClicksWithoutText: false,
  computeMissingFrames: false,
  repeatClicksAfterTracking: false,
  trackLastOfMaxFrames: false,
}
/** What is crafted in a run cannot be handed to a session, nor another number of slots to this model. */
const chosen = Object.entries(runs).filter(([, run]) => run.crafted === undefined && run.S === slots)

function compare(name: string, run: Run, index: number, found: FrameResult): void {
  const { frame, obj_ids, area, stats } = run.outputs[index]!
  expect(found.frameIndex).toBe(frame)
  expect(found.objects.map(({ id }) => id)).toEqual(obj_ids)
  const most = (found.width * found.height) / 1000
  for (const [row, { mask }] of found.objects.entries()) expect(Math.abs(mask.area - area[row]!)).toBeLessThan(most)
  const key = `${name}.out.${index}.probs`
  if (tensors.has(key)) {
    const scores = found.objects.map(({ score }) => score)
    expect(largestDifference(scores, tensors.floats(key))).toBeLessThan(2e-4)
  }
  if (stats) expect([found.tracked, found.dropped]).toEqual([stats.num_obj_tracked, stats.num_obj_dropped])
}

describe('SAM 3.1 against the reference', () => {
  const video = useVideoModel({ model: multiplexModel })

  it('is told by its weights', () => {
    expect(video.model.info.slots).toBe(slots)
    expect(chosen.length).toBeGreaterThan(0)
  })

  for (const [name, run] of chosen) {
    it(`${name}: ${run.what}`, async () => {
      const clip = await readClip(clipFolder())
      const overrides = Object.fromEntries(Object.entries(run.overrides).map(([key, value]) => [camelCase(key), value]))
      const options: SessionOptions = { history: 'full', ...overrides, ...AS_IN_THE_REFERENCE }
      if (!run.repair) options.keepLastCondFrame = false
      const session = await video.start(new TestSource(clip, {}, clip.length), options)
      const { width, height } = clip[0]!
      let shown = 0
      for (const op of run.ops) {
        if (op.op === 'prompt') {
          const boxes = op.boxes?.map(([x, y, w, h], index) => ({
            box: [x!, y!, x! + w!, y! + h!] as const,
            label: op.labels![index] as 0 | 1,
          }))
          const text = op.text === undefined ? {} : { text: op.text }
          const found = await session.addPrompt({
            frameIndex: op.frame,
            normalized: true,
            ...text,
            ...(boxes && { boxes }),
          })
          compare(name, run, shown++, found)
        } else if (op.op === 'points') {
          const points = op.points.map(([x, y]) => [x! * width, y! * height] as const)
          const labels = op.labels as (0 | 1)[]
          const found = await session.addPoints({ frameIndex: op.frame, objectId: op.obj_id, points, labels })
          compare(name, run, shown++, found)
        } else {
          const request: PropagateOptions = { startFrame: op.start }
          if (op.reverse) request.direction = 'backward'
          const results: FrameResult[] = []
          const propagation = (async () => {
            for await (const result of session.propagateDistance(request, op.max)) {
              results.push(result)
              if (results.length === op.stop_after) break
            }
          })()
          if (op.error) {
            const code = op.error.includes('No points are provided') ? 'ERR_NO_PROMPT' : 'ERR_INFERENCE'
            expect(await rejection(propagation)).toMatchObject({ code, fix: expect.stringMatching(/Leave \w+ out/) })
          }
          await propagation.catch(() => undefined)
          // What the reference has ready when it fails it has not given out yet.
          for (const result of results) if (!op.error) compare(name, run, shown++, result)
        }
      }
      expect(shown).toBe(run.outputs.length)
    })
  }
})
