/** Clicks, boxes and masks followed through a clip, against what the reference's tracker computed in fp32. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Box, FrameResult, Point, Propagation, Sam3VideoModel, VideoSession } from '../../lib/index.js'
import { largestDifference } from '../support/compare.js'
import { goldenRoot } from '../support/paths.js'
import { SafetensorsFile } from '../support/safetensors.js'
import { buildTestVideoModel, collect, goldenClip, type Pixels, TestSource } from '../support/video.js'
import { compareLogits, compareMasks, goldenRuns, LOGIT, objectsOf, SCORE } from '../support/video-golden.js'

interface Step {
  step: number
  op: string
  frame: number | null
  obj_ids: number[]
}
interface Run {
  name: string
  variant: string
  steps: Step[]
}

const runs = goldenRuns<Run>('tracker_video').runs.filter(({ variant }) => variant === 'fp32')
const ERROR_RUN = 'clear_before_propagation_error'

/** `name(key=value, …)` of the recorded call, as values. */
function call(op: string): { name: string; value: (key: string) => unknown } {
  return {
    name: op.slice(0, op.indexOf('(')),
    value: (key) => {
      const text = new RegExp(`\\b'?${key}'?[=:] ?(\\[\\[.*?\\]\\]|\\[.*?\\]|[\\w.-]+)`).exec(op)?.[1]
      if (text === undefined || text === 'None') return undefined
      return text === 'True' || text === 'False' ? text === 'True' : JSON.parse(text)
    },
  }
}

describe.skipIf(!goldenRoot)('clicks against the reference', () => {
  let model: Sam3VideoModel
  let clip: Pixels[]
  let tensors: SafetensorsFile
  beforeAll(async () => {
    model = await buildTestVideoModel()
    clip = await goldenClip()
    tensors = new SafetensorsFile(`${goldenRoot}/cases/tracker_video.safetensors`)
  })
  afterAll(() => model.dispose())

  const options = { history: 'full', resample: 'bicubic', logits: true } as const

  function mask(op: string): Uint8Array {
    const index = /mask_inputs\[(\d+)\]/.exec(op)?.[1]
    const pixels = 160 * 120
    if (index === undefined) return new Uint8Array(pixels)
    return tensors.bytes('mask_inputs').slice(Number(index) * pixels, (Number(index) + 1) * pixels)
  }

  /** A recorded prompt, done with ours. */
  function prompt(session: VideoSession, op: string): Promise<FrameResult> {
    const { name, value } = call(op)
    const where = { frameIndex: value('frame') as number, objectId: value('obj_id') as number }
    switch (name) {
      case 'add_new_mask':
        return session.addMask({ ...where, mask: mask(op) })
      case 'clear_all_points_in_frame':
        return session.clearPrompts(where)
      case 'add_new_points_or_box': {
        const labels = value('labels') as (0 | 1)[] | undefined
        return session.addPoints({
          ...where,
          normalized: true,
          points: (value('points') as Point[] | undefined) ?? [],
          ...(labels ? { labels } : {}),
          ...(value('box') ? { box: value('box') as Box } : {}),
          clearOldPoints: value('clear_old_points') as boolean | undefined,
          usePrevMemFrame: value('use_prev_mem_frame') as boolean | undefined,
        })
      }
    }
    throw new Error(`no such call: ${op}`)
  }

  function propagation(session: VideoSession, op: string): Propagation {
    const { value } = call(op)
    const start = value('start_frame_idx') as number | undefined
    const direction = value('reverse') ? 'backward' : 'forward'
    const distance = value('max_frame_num_to_track') as number | undefined
    return session.propagate({
      direction,
      ...(start === undefined ? {} : { startFrame: start }),
      ...(distance === undefined ? {} : { maxFrames: distance + 1 }),
    })
  }

  function compare(result: FrameResult, { step, obj_ids }: Step, run: string): void {
    const key = `${run}.fp32.${String(step).padStart(3, '0')}`
    const objects = objectsOf(result, obj_ids)
    if (tensors.has(`${key}.masks.bits`)) compareMasks(objects, tensors.bytes(`${key}.masks.bits`))
    if (tensors.has(`${key}.low_res`)) compareLogits(objects, tensors.floats(`${key}.low_res`))
    if (tensors.has(`${key}.obj_scores`)) {
      const logits = tensors.floats(`${key}.obj_scores`)
      expect(
        largestDifference(
          objects.map(({ objectScore }) => objectScore),
          logits,
        ),
      ).toBeLessThan(LOGIT)
      const probabilities = logits.map((logit) => 1 / (1 + Math.exp(-logit)))
      expect(
        largestDifference(
          objects.map(({ score }) => score),
          probabilities,
        ),
      ).toBeLessThan(SCORE)
      expect(
        largestDifference(
          objects.map(({ trackerScore }) => trackerScore),
          probabilities,
        ),
      ).toBeLessThan(SCORE)
    }
  }

  function compareClicked(result: FrameResult, { step, op }: Step, run: string): void {
    const key = `${run}.fp32.${String(step).padStart(3, '0')}`
    if (!tensors.has(`${key}.obj_low_res`)) return
    const id = call(op).value('obj_id')
    compareLogits(
      result.objects.filter((object) => object.id === id),
      tensors.floats(`${key}.obj_low_res`),
    )
  }

  it.each(runs.filter(({ name }) => name !== ERROR_RUN))('$name', async ({ name, steps }) => {
    const session = await model.startSession(new TestSource(clip), options)
    let results: Propagation | undefined
    let frames = 0
    for (const step of steps) {
      const { name: op } = call(step.op)
      if (step.op === 'propagate') {
        const { value } = await results!.next()
        expect(value!.frameIndex).toBe(step.frame)
        compare(value!, step, name)
        frames++
        continue
      }
      expect((await results?.next())?.done ?? true).toBe(true)
      results = undefined
      if (op === 'propagate_in_video') results = propagation(session, step.op)
      else if (op === 'remove_object') await session.removeObject(call(step.op).value('obj_id') as number)
      else if (op === 'clear_all_points_in_video') await session.reset()
      else {
        const result = await prompt(session, step.op)
        expect(result.frameIndex).toBe(step.frame)
        compare(result, step, name)
        compareClicked(result, step, name)
      }
    }
    expect((await results?.next())?.done).toBe(true)
    expect(frames).toBeGreaterThan(0)
    await session.close()
  })

  it('clearing the clicks of one object before the first propagation leaves those of the others', async () => {
    // The reference forgets every object's clicks there and then fails: its recorded run ends with an exception.
    const { steps } = runs.find(({ name }) => name === ERROR_RUN)!
    const session = await model.startSession(new TestSource(clip), options)
    for (const step of steps.slice(0, 2)) compareClicked(await prompt(session, step.op), step, ERROR_RUN)
    await prompt(session, steps[2]!.op)
    const results = await collect(propagation(session, steps[3]!.op))
    expect(results.map(({ frameIndex }) => frameIndex)).toEqual([0, 1, 2, 3, 4])
    const alone = await model.startSession(new TestSource(clip), options)
    await prompt(alone, steps[0]!.op)
    for await (const { frameIndex, objects } of alone.propagate({ maxFrames: 5 })) {
      const ours = results[frameIndex]!.objects.find(({ id }) => id === objects[0]!.id)!
      expect(largestDifference(ours.mask.logits!.data, objects[0]!.mask.logits!.data)).toBeLessThan(LOGIT)
    }
    await Promise.all([session.close(), alone.close()])
  })
})
