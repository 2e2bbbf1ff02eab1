/** A text or a box followed through a clip, against what the reference's video model computed in fp32. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FrameResponse, FrameResult, Sam3VideoModel, SessionOptions, VideoSession } from '../../lib/index.js'
import { Sam3VideoPredictor } from '../../lib/index.js'
import { largestDifference } from '../support/compare.js'
import { goldenRoot } from '../support/paths.js'
import { SafetensorsFile } from '../support/safetensors.js'
import { buildTestVideoModel, collect, goldenClip, type Pixels, TestSource } from '../support/video.js'
import { compareLogits, compareMasks, goldenRuns, objectsOf, SCORE } from '../support/video-golden.js'

interface Output {
  i: number
  op: string
  frame: number
  obj_ids: number[]
  frame_stats: { num_obj_tracked: number; num_obj_dropped: number } | null
}
interface Internal {
  i: number
  frame: number
  trk_obj_ids: number[]
}
interface Run {
  name: string
  variant: string
  overrides: Record<string, number | boolean>
  prompt: { text_str?: string; boxes_xywh?: [number, number, number, number][]; box_labels?: (0 | 1)[] }
  outputs: Output[]
  internals: Internal[]
}

const runs = goldenRuns<Run>('text_video').runs.filter(
  ({ name, variant }) => variant === 'fp32' && name.startsWith('real_'),
)
/** The reference differs from itself behind these: a near tie, see the goldens' README. */
const UNSTABLE_FROM: Record<string, number> = { real_box_prompt: 8 }

/** Runs that show objects on frames whose tracker masks were recorded. */
const RECORDED_MASKS = new Set(['real_lowered', 'real_refine'])

const camelCase = (name: string) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())

describe.skipIf(!goldenRoot)('texts and boxes against the reference', () => {
  let model: Sam3VideoModel
  let clip: Pixels[]
  let tensors: SafetensorsFile
  beforeAll(async () => {
    model = await buildTestVideoModel()
    clip = await goldenClip()
    tensors = new SafetensorsFile(`${goldenRoot}/cases/text_video.safetensors`)
  })
  afterAll(() => model.dispose())

  function optionsOf({ overrides }: Run): SessionOptions {
    const heuristics = Object.fromEntries(Object.entries(overrides).map(([name, value]) => [camelCase(name), value]))
    return { ...heuristics, logits: true }
  }

  function addPrompt(session: VideoSession, { prompt }: Run): Promise<FrameResult> {
    const boxes = prompt.boxes_xywh?.map(([x, y, width, height], index) => ({
      box: [x, y, x + width, y + height] as const,
      label: prompt.box_labels![index]!,
    }))
    return session.addPrompt({
      frameIndex: 0,
      normalized: true,
      ...(prompt.text_str === undefined ? {} : { text: prompt.text_str }),
      ...(boxes ? { boxes } : {}),
    })
  }

  function compare(result: FrameResult, { i, frame, obj_ids, frame_stats }: Output, run: string): void {
    const key = `${run}.fp32.out.${String(i).padStart(3, '0')}`
    expect(result.frameIndex).toBe(frame)
    const objects = objectsOf(result, obj_ids)
    const { width, height } = result
    expect(
      largestDifference(
        objects.map(({ score }) => score),
        tensors.floats(`${key}.probs`),
      ),
    ).toBeLessThan(SCORE)
    compareMasks(objects, tensors.bytes(`${key}.masks.bits`))
    const boxes = objects.flatMap(({ box: [x0, y0, x1, y1] }) => [
      x0 / width,
      y0 / height,
      (x1 - x0 - 1) / width,
      (y1 - y0 - 1) / height,
    ])
    expect(largestDifference(boxes, tensors.floats(`${key}.boxes_xywh`))).toBeLessThan(SCORE)
    if (frame_stats) {
      expect([result.tracked, result.dropped]).toEqual([frame_stats.num_obj_tracked, frame_stats.num_obj_dropped])
    }
  }

  /** The tracker's masks, where they were recorded, of the objects that are shown. */
  function compareTracker(results: FrameResult[], { name, internals }: Run, stable: number): number {
    let compared = 0
    for (const { i, frame, trk_obj_ids } of internals.slice(1, stable)) {
      const key = `${name}.fp32.internal.${String(i).padStart(3, '0')}.trk_low_res`
      if (!tensors.has(key)) continue
      const [, side] = tensors.shape(key)
      const lowRes = tensors.floats(key)
      const cells = side! * side!
      const shown = results[frame]!.objects.filter(({ id }) => trk_obj_ids.includes(id))
      for (const object of shown) {
        const row = trk_obj_ids.indexOf(object.id)
        compareLogits([object], lowRes.subarray(row * cells, (row + 1) * cells))
        compared++
      }
    }
    return compared
  }

  it.each(runs)('$name', async (run) => {
    const stable = UNSTABLE_FROM[run.name] ?? Number.POSITIVE_INFINITY
    const session = await model.startSession(new TestSource(clip), optionsOf(run))
    compare(await addPrompt(session, run), run.outputs[0]!, run.name)
    const results = await collect(session.propagate())
    expect(results).toHaveLength(24)
    for (const [index, result] of results.entries()) {
      if (index + 1 < stable) compare(result, run.outputs[index + 1]!, run.name)
    }
    const compared = compareTracker(results, run, stable)
    if (RECORDED_MASKS.has(run.name)) expect(compared).toBeGreaterThan(0)
    await session.close()
  })

  it('clicks on found objects, new ones beside them, both directions and removals', async () => {
    const run = runs.find(({ name }) => name === 'real_refine')!
    const session = await model.startSession(new TestSource(clip), { ...optionsOf(run), history: 'full' })
    await addPrompt(session, run)
    await collect(session.propagate())
    const check = async (results: AsyncIterable<FrameResult>, op: string, from: number) => {
      const expected = run.outputs.slice(from).filter((output) => output.op === op)
      let next = 0
      for await (const result of results) {
        if (next < expected.length) compare(result, expected[next]!, run.name)
        next++
      }
      expect(next).toBeGreaterThanOrEqual(expected.length)
    }
    const clicks = (frameIndex: number, objectId: number, points: [number, number][], labels: (0 | 1)[]) =>
      session.addPoints({ frameIndex, objectId, points, labels, normalized: true })
    compare(
      await clicks(
        4,
        0,
        [
          [0.4, 0.4],
          [0.1, 0.1],
        ],
        [1, 0],
      ),
      run.outputs[25]!,
      run.name,
    )
    const until = (index: number) => run.outputs.slice(0, index)
    const partial = until(46).filter(({ op }) => op === 'propagate_partial')
    let next = 0
    for await (const result of session.propagate({ startFrame: 4 })) compare(result, partial[next++]!, run.name)
    expect(next).toBe(partial.length)
    compare(await clicks(10, 50, [[0.7, 0.6]], [1]), run.outputs[46]!, run.name)
    await check(session.propagate({ startFrame: 10 }), 'propagate_partial', 47)
    await check(session.propagate({ direction: 'backward', startFrame: 10 }), 'propagate_2nd_direction', 47)
    await session.removeObject(0)
    await check(session.propagate({ startFrame: 0, maxFrames: 4 }), 'propagate_after_remove', 47)
    await session.close()
  })

  it('the same through the requests of the reference', async () => {
    const run = runs.find(({ name }) => name === 'real_lowered')!
    const predictor = new Sam3VideoPredictor(model, optionsOf(run))
    const { session_id } = await predictor.handleRequest({
      type: 'start_session',
      resource_path: new TestSource(clip),
    })
    const answer = await predictor.handleRequest({ type: 'add_prompt', session_id, frame_index: 0, text: 'cat' })
    const request = { type: 'propagate_in_video', session_id, propagation_direction: 'forward' } as const
    const answers: FrameResponse[] = [answer, ...(await collect(predictor.handleStreamRequest(request)))]
    expect(answers).toHaveLength(run.outputs.length)
    for (const [index, { frame_index, outputs }] of answers.entries()) {
      const { i, frame, obj_ids, frame_stats } = run.outputs[index]!
      const key = `${run.name}.fp32.out.${String(i).padStart(3, '0')}`
      expect([frame_index, outputs.out_obj_ids, outputs.frame_stats]).toEqual([frame, obj_ids, frame_stats])
      expect(largestDifference(outputs.out_probs, tensors.floats(`${key}.probs`))).toBeLessThan(SCORE)
      expect(largestDifference(outputs.out_boxes_xywh.flat(), tensors.floats(`${key}.boxes_xywh`))).toBeLessThan(SCORE)
    }
    expect(await predictor.handleRequest({ type: 'close_session', session_id })).toEqual({ is_success: true })
  })
})
