/** A text or a box followed through a clip, against what the reference's video model computed in fp32. */
import { expect, it } from 'vitest'
import type {
  FrameResponse,
  FrameResult,
  PromptResult,
  SessionOptions,
  TrackedObject,
  VideoSession,
} from '../../../../lib/index.js'
import { Sam3VideoPredictor } from '../../../../lib/index.js'
import { largestDifference } from '../../../support/compare.js'
import {
  type ConceptRecording,
  type ConceptRun,
  clicksOf,
  type Internal,
  isPropagation,
  type Output,
  propagationOf,
  removedBefore,
  stagesOf,
} from '../../../support/golden-run.js'
import { leftOut, replay, warningsFor } from '../../../support/golden-set.js'
import { isExact, NEAR_TIE, RunComparison, tieOfMask, tieOfScore } from '../../../support/near-ties.js'
import { collect, TestSource } from '../../../support/video.js'
import { compareLogits, compareMasks, objectsOf, SCORE } from '../../../support/video-golden.js'
import { useReplayedVideo } from '../../../support/video-model.js'

const camelCase = (name: string) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())

replay<ConceptRecording>('texts and boxes against the reference', 'text_video', (recording) => {
  const runs = recording.runs.filter(
    ({ variant, crafted_det, crafted_trk }) => variant === 'fp32' && !crafted_det && !crafted_trk,
  )
  const video = useReplayedVideo('text_video', recording)

  const settingsOf = ({ overrides }: ConceptRun) => ({ ...recording.defaults, ...overrides })
  function optionsOf({ overrides }: ConceptRun): SessionOptions {
    const heuristics = Object.fromEntries(Object.entries(overrides).map(([name, value]) => [camelCase(name), value]))
    return { ...heuristics, logits: true }
  }

  /** Asks for the run's concept. Boxes count on the frame of the prompt and on the one that follows. */
  function addPrompt(session: VideoSession, { prompt, start }: ConceptRun, frameIndex = start): Promise<PromptResult> {
    const boxes = prompt.boxes_xywh?.map(([x, y, width, height], index) => ({
      box: [x, y, x + width, y + height] as const,
      label: prompt.box_labels![index]!,
    }))
    if (boxes && [start, start + 1].includes(frameIndex)) {
      const text = prompt.text_str === undefined ? {} : { text: prompt.text_str }
      return session.addPrompt({ frameIndex, normalized: true, ...text, boxes })
    }
    return session.addPrompt({ frameIndex, text: prompt.text_str ?? 'visual' })
  }

  const keyOf = ({ name }: ConceptRun, part: 'out' | 'internal', i: number) =>
    `${name}.fp32.${part}.${String(i).padStart(3, '0')}`

  function compare(result: FrameResult, { i, frame, obj_ids, frame_stats }: Output, run: ConceptRun): void {
    const key = keyOf(run, 'out', i)
    expect(result.frameIndex).toBe(frame)
    const objects = objectsOf(result, obj_ids)
    const { width, height } = result
    expect(
      largestDifference(
        objects.map(({ score }) => score),
        video.tensors.floats(`${key}.probs`),
      ),
    ).toBeLessThan(SCORE)
    compareMasks(objects, video.tensors.bytes(`${key}.masks.bits`))
    const boxes = objects.flatMap(({ box: [x0, y0, x1, y1] }) => [
      x0 / width,
      y0 / height,
      (x1 - x0 - 1) / width,
      (y1 - y0 - 1) / height,
    ])
    expect(largestDifference(boxes, video.tensors.floats(`${key}.boxes_xywh`))).toBeLessThan(SCORE)
    if (frame_stats) {
      expect([result.tracked, result.dropped]).toEqual([frame_stats.num_obj_tracked, frame_stats.num_obj_dropped])
    }
  }

  /** The tracker's masks on a frame, where they were recorded, of the objects that are shown. */
  function compareTracker({ objects }: FrameResult, { i, trk_obj_ids }: Internal, run: ConceptRun): void {
    const key = `${keyOf(run, 'internal', i)}.trk_low_res`
    if (!video.tensors.has(key)) return
    const lowRes = video.tensors.floats(key)
    const cells = recording.low_res ** 2
    for (const object of objects) {
      const row = trk_obj_ids.indexOf(object.id)
      if (row >= 0) compareLogits([object], lowRes.subarray(row * cells, (row + 1) * cells))
    }
  }

  /** Everything that the detector finds on a frame with the run's settings, in the order in which the run numbers it. */
  async function detections(run: ConceptRun, frame: number): Promise<TrackedObject[]> {
    const { score_threshold_detection: threshold, det_nms_thresh: nms } = settingsOf(run)
    const session = await video.model.startSession(new TestSource(video.clip), {
      scoreThresholdDetection: threshold as number,
      newDetThresh: threshold as number,
      detNmsThresh: nms as number,
      maxNumObjects: 10_000,
      logits: true,
    })
    const { objects } = await addPrompt(session, run, frame)
    await session.close()
    return objects
  }

  /** The near tie of a detection's mask that was recorded as the reference saw it. */
  function tieOfRecorded(key: string, detection: number): string | undefined {
    if (!video.tensors.has(key)) return undefined
    const cells = recording.low_res ** 2
    const logits = video.tensors.floats(key).subarray(detection * cells, (detection + 1) * cells)
    return isExact(logits) ? tieOfMask(logits, 4 * recording.low_res, NEAR_TIE) : undefined
  }

  /** What on a frame hangs on rounding and stays in memory: scores, and masks of detections, which are made binary. */
  async function tieOf(
    run: ConceptRun,
    { i, frame, plan, reconditioned_calls }: Internal,
  ): Promise<string | undefined> {
    const key = keyOf(run, 'internal', i)
    const { score_threshold_detection: found, new_det_thresh: fresh } = settingsOf(run) as Record<string, number>
    const tie =
      tieOfScore(`frame ${frame}: the object score`, video.tensors.floats(`${key}.trk_obj_scores`), [0]) ??
      tieOfScore(`frame ${frame}: the detection score`, video.tensors.floats(`${key}.det_scores`), [found!, fresh!])
    if (tie) return tie
    const confirming = reconditioned_calls.map((id) => plan.trk_id_to_max_iou_high_conf_det[id]!)
    const remembered = [...plan.new_det_fa_inds, ...confirming]
    if (remembered.length === 0) return undefined
    const objects = await detections(run, frame)
    for (const detection of remembered) {
      const { mask } = objects.find(({ id }) => id === detection) ?? {}
      const tied =
        tieOfRecorded(`${key}.det_masks`, detection) ?? (mask && tieOfMask(mask.logits!.data, 4 * recording.low_res))
      if (tied) return `detection ${detection} on frame ${frame}: ${tied}`
    }
    return undefined
  }

  /**
   * The near ties of a run by the output from which on they matter. Results come as many frames late as new objects are
   * watched: what is found meanwhile decides on them.
   */
  async function tiesOf(run: ConceptRun): Promise<Map<number, string>> {
    const ties = new Map<number, string>()
    const late = Math.max(settingsOf(run).hotstart_delay as number, 1) - 1
    for (const internal of run.internals) {
      const tie = await tieOf(run, internal)
      const first = Math.max(internal.i + 1 - late, 1)
      if (tie && !ties.has(first)) ties.set(first, tie)
    }
    return ties
  }

  if (runs.length === 0) leftOut('run of text_video in fp32 with the network alone')
  it.each(runs)('$name', async (run) => {
    const ties = await tiesOf(run)
    const comparison = new RunComparison(run.name)
    const stages = stagesOf(run)
    const later = stages.slice(1).filter((stage) => !isPropagation(stage)).length > 0
    const session = await video.model.startSession(new TestSource(video.clip), {
      ...optionsOf(run),
      history: later ? 'full' : 'bounded',
    })
    const check = (result: FrameResult, output: Output) => {
      comparison.meet(ties.get(output.i))
      return comparison.step(`output ${output.i}`, () => compare(result, output, run))
    }
    for (const [index, stage] of stages.entries()) {
      if (comparison.ended) break
      const [first] = stage.outputs as [Output]
      if (index === 0) {
        const result = await addPrompt(session, run)
        expect(result.warnings).toEqual(warningsFor(run.prompt.text_str))
        await check(result, first)
      } else if (isPropagation(stage)) {
        for (const id of removedBefore(stage, stages.slice(0, index))) await session.removeObject(id)
        const results = await collect(session.propagate(propagationOf(stage, recording.num_frames)))
        expect(results).toHaveLength(stage.outputs.length)
        for (const [at, output] of stage.outputs.entries()) {
          await check(results[at]!, output)
          const internal = index === 1 ? run.internals.find(({ i }) => i === output.i) : undefined
          if (internal)
            await comparison.step(`frame ${output.frame}`, () => compareTracker(results[at]!, internal, run))
        }
      } else {
        await comparison.step(stage.op, async () => {
          const clicks = clicksOf(stage.op)
          const result = await session.addPoints(clicks)
          compare(result, first, run)
          const { mask } = result.objects.find(({ id }) => id === clicks.objectId) ?? {}
          const tie = mask && tieOfMask(mask.logits!.data, video.model.info.inputSize)
          comparison.meet(tie && `object ${clicks.objectId} clicked on frame ${clicks.frameIndex}: ${tie}`)
        })
      }
    }
    await session.close()
  })

  // The run that shows most of those that are nothing but a text and one pass through the clip.
  const simple = runs.filter((run) => run.prompt.boxes_xywh === undefined && stagesOf(run).length === 2)
  const shown = ({ outputs }: ConceptRun) => outputs.flatMap(({ obj_ids }) => obj_ids).length
  const [busiest] = simple.sort((a, b) => shown(b) - shown(a))
  if (!busiest) leftOut('run of text_video with a text and one pass')
  else {
    it(`${busiest.name} through the requests of the reference`, async () => {
      const ties = await tiesOf(busiest)
      const comparison = new RunComparison(busiest.name)
      const predictor = new Sam3VideoPredictor(video.model, optionsOf(busiest))
      const { session_id } = await predictor.handleRequest({
        type: 'start_session',
        resource_path: new TestSource(video.clip),
      })
      const { start, prompt, outputs } = busiest
      const { direction } = propagationOf(stagesOf(busiest)[1]!, recording.num_frames)
      const answer = await predictor.handleRequest({
        type: 'add_prompt',
        session_id,
        frame_index: start,
        text: prompt.text_str!,
      })
      const request = { type: 'propagate_in_video', session_id, propagation_direction: direction } as const
      const answers: FrameResponse[] = [answer, ...(await collect(predictor.handleStreamRequest(request)))]
      expect(answers).toHaveLength(outputs.length)
      for (const [index, { frame_index, outputs: ours }] of answers.entries()) {
        const { i, frame, obj_ids, frame_stats } = outputs[index]!
        comparison.meet(ties.get(i))
        await comparison.step(`output ${i}`, () => {
          const key = keyOf(busiest, 'out', i)
          expect([frame_index, ours.out_obj_ids, ours.frame_stats]).toEqual([frame, obj_ids, frame_stats])
          expect(largestDifference(ours.out_probs, video.tensors.floats(`${key}.probs`))).toBeLessThan(SCORE)
          expect(largestDifference(ours.out_boxes_xywh.flat(), video.tensors.floats(`${key}.boxes_xywh`))).toBeLessThan(
            SCORE,
          )
        })
      }
      expect(await predictor.handleRequest({ type: 'close_session', session_id })).toEqual({ is_success: true })
    })
  }
})
