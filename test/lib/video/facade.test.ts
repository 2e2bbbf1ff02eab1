/** The requests of the reference: names, units, and what happens to a session. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sam3VideoPredictor, type Sam3VideoModel } from '../../../lib/index.js'
import { rejection } from '../../support/model.js'
import { buildTestVideoModel, collect, TestSource, wanderingFrame } from '../../support/video.js'

let model: Sam3VideoModel
let predictor: Sam3VideoPredictor
beforeAll(async () => {
  model = await buildTestVideoModel()
  predictor = new Sam3VideoPredictor(model)
})
afterAll(() => model.dispose())

const video = () => new TestSource((index) => wanderingFrame(index), {}, 6)
const start = async (session_id?: string) =>
  (
    await predictor.handleRequest({
      type: 'start_session',
      resource_path: video(),
      ...(session_id ? { session_id } : {}),
    })
  ).session_id
const clicks = (session_id: string, frame_index = 2) =>
  ({ type: 'add_prompt', session_id, frame_index, points: [[0.5, 0.5]], point_labels: [1], obj_id: 4 }) as const
const frames = (answers: { frame_index: number }[]) => answers.map(({ frame_index }) => frame_index)

describe('handleRequest', () => {
  it('follows clicks both ways, in units of the video', async () => {
    const session_id = await start()
    const { frame_index, outputs } = await predictor.handleRequest(clicks(session_id))
    expect([frame_index, outputs.out_obj_ids]).toEqual([2, [4]])
    const stream = (options: object) =>
      collect(predictor.handleStreamRequest({ type: 'propagate_in_video', session_id, ...options }))
    const answers = await stream({})
    expect(frames(answers)).toEqual([2, 3, 4, 5, 2, 1, 0])
    for (const { outputs } of answers) {
      expect(outputs.out_binary_masks).toHaveLength(1)
      expect(outputs.out_probs[0]).toBeGreaterThanOrEqual(0)
      for (const value of outputs.out_boxes_xywh.flat()) expect(value).toBeGreaterThanOrEqual(0)
      const { box, area, width } = outputs.out_binary_masks[0]!
      if (area > 0) expect(outputs.out_boxes_xywh[0]![2] * width).toBeCloseTo(box[2] - box[0] - 1, 3)
    }
    expect(
      frames(await stream({ propagation_direction: 'forward', start_frame_index: 1, max_frame_num_to_track: 2 })),
    ).toEqual([1, 2, 3])
    expect(
      frames(await stream({ propagation_direction: 'backward', start_frame_index: 4, max_frame_num_to_track: 1 })),
    ).toEqual([4, 3])
    expect(await predictor.handleRequest({ type: 'remove_object', session_id, obj_id: 4 })).toEqual({
      is_success: true,
    })
    await predictor.handleRequest({ type: 'close_session', session_id })
  })

  it('a text or a box starts the session anew', async () => {
    const session_id = await start()
    await predictor.handleRequest(clicks(session_id, 0))
    const boxes = { bounding_boxes: [[0.1, 0.1, 0.3, 0.4]], bounding_box_labels: [1] } as const
    for (const prompt of [{ text: 'cat' }, boxes]) {
      const { outputs } = await predictor.handleRequest({ type: 'add_prompt', session_id, frame_index: 0, ...prompt })
      expect(outputs.out_obj_ids).not.toContain(4)
    }
    expect(await predictor.handleRequest({ type: 'reset_session', session_id })).toEqual({ is_success: true })
    const stream = predictor.handleStreamRequest({ type: 'propagate_in_video', session_id })
    expect(await rejection(collect(stream))).toMatchObject({ code: 'ERR_NO_PROMPT' })
    await predictor.handleRequest({ type: 'close_session', session_id })
  })

  it('answers requests that come at once as if they came one after the other', async () => {
    const low = { scoreThresholdDetection: 0.5, newDetThresh: 0.5, detNmsThresh: 0.6, maxNumObjects: 3 }
    const eager = new Sam3VideoPredictor(model, low)
    const { session_id } = await eager.handleRequest({ type: 'start_session', resource_path: video() })
    const text = (phrase: string) => ({ type: 'add_prompt', session_id, frame_index: 0, text: phrase }) as const
    const { num_obj_tracked } = (await eager.handleRequest(text('dog'))).outputs.frame_stats
    expect(num_obj_tracked).toBeGreaterThan(0)
    const requests = [text('cat'), clicks(session_id, 0), text('dog')]
    const [, clicked, last] = await Promise.all(requests.map((request) => eager.handleRequest(request)))
    expect(clicked!.outputs.out_obj_ids).toContain(4)
    expect(last!.outputs.frame_stats).toMatchObject({ num_obj_tracked })
    expect(last!.outputs.out_obj_ids).not.toContain(4)
    await eager.handleRequest({ type: 'close_session', session_id })
  })

  it('takes typed arrays, and a bad box leaves the session as it was', async () => {
    const session_id = await start()
    const ask = async (bounding_boxes: unknown) =>
      (await predictor.handleRequest({
        type: 'add_prompt',
        session_id,
        frame_index: 0,
        bounding_boxes,
      } as never)) as never
    const { outputs }: { outputs: { out_probs: number[] } } = await ask([[0.1, 0.1, 0.3, 0.4]])
    for (const boxes of [Float64Array.of(0.1, 0.1, 0.3, 0.4), [Float64Array.of(0.1, 0.1, 0.3, 0.4)]]) {
      expect(await ask(boxes)).toMatchObject({ outputs: { out_probs: outputs.out_probs } })
    }
    await predictor.handleRequest(clicks(session_id, 0))
    for (const boxes of [[[1, 2, 3]], [['0', 0, 1, 1]], [null], 'all', Float32Array.of(1, 2, 3)]) {
      expect(await rejection(ask(boxes))).toMatchObject({ code: 'ERR_INVALID_BOX' })
    }
    const stream = predictor.handleStreamRequest({ type: 'propagate_in_video', session_id })
    expect((await collect(stream)).length).toBeGreaterThan(0) // the clicks are still there
    await predictor.handleRequest({ type: 'close_session', session_id })
  })

  it('takes and gives names of sessions, and closes what is not there without an error', async () => {
    expect(await start('mine')).toBe('mine')
    expect(await rejection(start('mine'))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
    const both = await Promise.allSettled([start('twice'), start('twice')])
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    await predictor.handleRequest({ type: 'close_session', session_id: 'twice' })
    expect(await start()).toMatch(/^[0-9a-f-]{36}$/)
    const closing = { type: 'close_session', session_id: 'mine' } as const
    expect(await predictor.handleRequest(closing)).toEqual({ is_success: true })
    expect(await predictor.handleRequest(closing)).toEqual({ is_success: true })
    expect(await rejection(predictor.handleRequest(clicks('mine')))).toMatchObject({ code: 'ERR_SESSION_CLOSED' })
  })

  it.each([
    [{ type: 'cancel' }],
    [undefined],
    [{ type: 'propagate_in_video', session_id: 'x' }],
    [{ type: 'add_prompt', session_id: 'x', frame_index: 0, points: [[0, 0]] }],
    [{ type: 'add_prompt', session_id: 'x', frame_index: 0, points: [[0, 0]], obj_id: 1, text: 'cat' }],
    [{ type: 'add_prompt', session_id: 'x', frame_idx: 0, text: 'cat' }],
  ])('refuses %j', async (request) => {
    const session_id = await start('x')
    expect(await rejection(predictor.handleRequest(request as never))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
    await predictor.handleRequest({ type: 'close_session', session_id })
  })

  it('streams only propagations', async () => {
    const stream = predictor.handleStreamRequest({ type: 'start_session' } as never)
    expect(await rejection(collect(stream))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
  })
})
