/** The interface that users of the Python reference know, thin over the model: requests in, responses out. */
import { recogniseInAllCopies } from '../base/same-class.js'
import { randomUUID } from 'node:crypto'
import { Sam3InputError, Sam3RuntimeError } from '../base/errors.js'
import { checkKeys } from '../base/checks.js'
import { toNumbers, toRows } from '../geometry/numbers.js'
import type { BoxPrompt, PromptLabel } from '../prompt/types.js'
import type { NumberArray, PointInput } from '../geometry/types.js'
import type { Mask } from '../result/mask.js'
import { shown } from '../base/shown.js'
import { Turns } from '../base/wake.js'
import type { SessionOptions } from './session/options.js'
import type { PropagationDirection } from './session/propagate-options.js'
import type { FrameResult } from './session/results.js'
import type { VideoSession } from './session/session.js'
import type { VideoInput } from './source/types.js'
import type { Sam3VideoModel } from './video-model.js'

/** Opens a video. */
export interface StartSessionRequest {
  /** Which request it is. */
  type: 'start_session'
  /** A folder of frames, a video file, or whatever else `startSession` takes. */
  resource_path: VideoInput
  /** Its name in later requests. Default: made up. */
  session_id?: string
}

/** A text or a box, which start the session anew, or clicks on one object. */
export interface AddPromptRequest {
  /** Which request it is. */
  type: 'add_prompt'
  /** From `start_session`. */
  session_id: string
  /** From 0. */
  frame_index: number
  /** A short noun phrase. */
  text?: string
  /** Clicks [x, y], 0..1 of width and height. */
  points?: readonly PointInput[] | NumberArray
  /** One per click: 1 part of the object, 0 not. */
  point_labels?: readonly (0 | 1)[] | NumberArray
  /** One box [x, y, width, height], 0..1. */
  bounding_boxes?:
    | readonly (readonly [x: number, y: number, width: number, height: number] | NumberArray)[]
    | NumberArray
  /** One per box: 1 such objects, 0 not such. */
  bounding_box_labels?: readonly (0 | 1)[] | NumberArray
  /** The object that the clicks are on; needed with `points`. */
  obj_id?: number
}

/** No longer follows an object. */
export interface RemoveObjectRequest {
  /** Which request it is. */
  type: 'remove_object'
  /** From `start_session`. */
  session_id: string
  /** One of `out_obj_ids`. */
  obj_id: number
}

/** Forgets all prompts and objects. */
export interface ResetSessionRequest {
  /** Which request it is. */
  type: 'reset_session'
  /** From `start_session`. */
  session_id: string
}

/** Ends a session; one that is not there is no error. */
export interface CloseSessionRequest {
  /** Which request it is. */
  type: 'close_session'
  /** From `start_session`. */
  session_id: string
}

/** Follows the objects; the only request of {@link Sam3VideoPredictor.handleStreamRequest}. */
export interface PropagateInVideoRequest {
  /** Which request it is. */
  type: 'propagate_in_video'
  /** From `start_session`. */
  session_id: string
  /** Default `'both'`: forward, then backward. */
  propagation_direction?: PropagationDirection
  /** Default: the first frame with a prompt. */
  start_frame_index?: number
  /** How far from the start frame. Default: to the end of the video. */
  max_frame_num_to_track?: number
}

/** A request of {@link Sam3VideoPredictor.handleRequest}. */
export type VideoRequest =
  | StartSessionRequest
  | AddPromptRequest
  | RemoveObjectRequest
  | ResetSessionRequest
  | CloseSessionRequest

/** The objects of a frame under the reference's names. All lists have one entry per object. */
export interface VideoOutputs {
  /** Ids, ascending. */
  out_obj_ids: number[]
  /** Scores, 0..1. */
  out_probs: number[]
  /** Boxes [x, y, width, height], 0..1 of the video. */
  out_boxes_xywh: [x: number, y: number, width: number, height: number][]
  /** Masks; `toBitmap()` gives the reference's array. */
  out_binary_masks: Mask[]
  /** Counts. */
  frame_stats: VideoFrameStats
}

/** Counts of a frame under the reference's names. */
export interface VideoFrameStats {
  /** Objects that are followed. */
  num_obj_tracked: number
  /** Detections that were dropped because of `maxNumObjects`. */
  num_obj_dropped: number
}

/** The answer to `start_session`. */
export interface StartSessionResponse {
  /** Names the session in later requests. */
  session_id: string
}

/** The answer to `add_prompt`, and each answer to `propagate_in_video`. */
export interface FrameResponse {
  /** From 0. */
  frame_index: number
  /** The objects of that frame. */
  outputs: VideoOutputs
}

/** The answer to the other requests; failures are errors. */
export interface SuccessResponse {
  /** Always true. */
  is_success: true
}

function toResponse({ frameIndex, width, height, objects, tracked, dropped }: FrameResult): FrameResponse {
  return {
    frame_index: frameIndex,
    outputs: {
      out_obj_ids: objects.map(({ id }) => id),
      out_probs: objects.map(({ score }) => score),
      // The reference's far corner is the last pixel of the object, ours the one behind it.
      out_boxes_xywh: objects.map(({ box: [x0, y0, x1, y1] }) => [
        x0 / width,
        y0 / height,
        Math.max(0, x1 - x0 - 1) / width,
        Math.max(0, y1 - y0 - 1) / height,
      ]),
      out_binary_masks: objects.map(({ mask }) => mask),
      frame_stats: { num_obj_tracked: tracked, num_obj_dropped: dropped },
    },
  }
}

/** A session, and the requests that wait for it. */
interface OpenSession {
  session: VideoSession
  turns: Turns
}

/** Runs `work` when the earlier requests of its session are answered: some take several calls of the session. */
function inTurn<T>({ session, turns }: OpenSession, work: (session: VideoSession) => Promise<T>): Promise<T> {
  return turns.take(() => work(session))
}

/**
 * `Sam3VideoPredictor` of the Python reference, with its requests, responses and units, for people who port code. A text
 * or a box starts the session anew, as there; `model.startSession` is without this limit.
 *
 * @example
 * ```ts
 * const predictor = new Sam3VideoPredictor(model)
 * const { session_id } = await predictor.handleRequest({ type: 'start_session', resource_path: 'clip.mp4' })
 * await predictor.handleRequest({ type: 'add_prompt', session_id, frame_index: 0, text: 'player in white' })
 * const request = { type: 'propagate_in_video', session_id, propagation_direction: 'forward' } as const
 * for await (const { frame_index, outputs } of predictor.handleStreamRequest(request)) {
 *   console.log(frame_index, outputs.out_obj_ids, outputs.out_boxes_xywh)
 * }
 * await predictor.handleRequest({ type: 'close_session', session_id })
 * ```
 */
export class Sam3VideoPredictor {
  readonly #model: Sam3VideoModel
  readonly #options: SessionOptions
  readonly #sessions = new Map<string, OpenSession>()
  /** Names of sessions that are being opened. */
  readonly #opening = new Set<string>()

  /** @param options Of every session. `history` is `'full'` unless said otherwise: the reference goes both ways. */
  constructor(model: Sam3VideoModel, options: SessionOptions = {}) {
    this.#model = model
    this.#options = { history: 'full', ...options }
  }

  /**
   * Answers one request.
   * @throws Sam3InputError `ERR_INVALID_ARGUMENT` for a request that is none, Sam3RuntimeError `ERR_SESSION_CLOSED` for a
   * session that is not there, and as the methods of {@link VideoSession}.
   */
  handleRequest(request: StartSessionRequest): Promise<StartSessionResponse>
  handleRequest(request: AddPromptRequest): Promise<FrameResponse>
  handleRequest(request: RemoveObjectRequest | ResetSessionRequest | CloseSessionRequest): Promise<SuccessResponse>
  async handleRequest(request: VideoRequest): Promise<StartSessionResponse | FrameResponse | SuccessResponse> {
    switch (request?.type) {
      case 'start_session':
        return this.#start(request)
      case 'add_prompt':
        return this.#addPrompt(request)
      case 'remove_object':
        await inTurn(this.#session(request.session_id), (session) => session.removeObject(request.obj_id))
        return { is_success: true }
      case 'reset_session':
        await inTurn(this.#session(request.session_id), (session) => session.reset())
        return { is_success: true }
      case 'close_session': {
        const open = this.#sessions.get(request.session_id)
        this.#sessions.delete(request.session_id)
        await open?.session.close()
        return { is_success: true }
      }
      default:
        throw unknownRequest(request)
    }
  }

  /**
   * Answers a request frame by frame.
   * @throws As {@link Sam3VideoPredictor.handleRequest}, and as the iterator of {@link VideoSession.propagate}.
   */
  async *handleStreamRequest(request: PropagateInVideoRequest): AsyncGenerator<FrameResponse, void, void> {
    if (request?.type !== 'propagate_in_video') throw unknownRequest(request)
    const { propagation_direction: direction = 'both', start_frame_index: startFrame } = request
    const results = await inTurn(this.#session(request.session_id), async (session) =>
      session.propagateDistance({ direction, startFrame }, request.max_frame_num_to_track),
    )
    for await (const result of results) {
      yield toResponse(result)
    }
  }

  async #start({ resource_path, session_id = randomUUID() }: StartSessionRequest): Promise<StartSessionResponse> {
    if (this.#sessions.has(session_id) || this.#opening.has(session_id)) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', `There is a session ${shown(session_id)} already.`, {
        fix: 'Close it first, or leave session_id out.',
      })
    }
    this.#opening.add(session_id)
    try {
      const session = await this.#model.startSession(resource_path, this.#options)
      this.#sessions.set(session_id, { session, turns: new Turns() })
    } finally {
      this.#opening.delete(session_id)
    }
    return { session_id }
  }

  async #addPrompt(request: AddPromptRequest): Promise<FrameResponse> {
    const keys = ['text', 'points', 'point_labels', 'bounding_boxes', 'bounding_box_labels', 'obj_id'] as const
    checkKeys(request, ['type', 'session_id', 'frame_index', ...keys], 'An add_prompt request')
    const open = this.#session(request.session_id)
    const { frame_index: frameIndex, text, points, bounding_boxes: boxes } = request
    if (points === undefined) {
      const prompt = {
        frameIndex,
        normalized: true,
        text,
        boxes: boxes === undefined ? undefined : toBoxPrompts(boxes, request.bounding_box_labels),
      }
      const answer = await inTurn(open, async (session) => {
        await session.reset()
        return session.addPrompt(prompt)
      })
      return toResponse(answer)
    }
    if (text !== undefined || boxes !== undefined || request.obj_id === undefined) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'Points go with an obj_id, and without a text or a box.', {
        fix: 'Send { points, point_labels, obj_id }, and texts and boxes in a request of their own.',
      })
    }
    const { obj_id: objectId, point_labels: labels } = request
    const clicks = { frameIndex, objectId, points, labels, normalized: true }
    return toResponse(await inTurn(open, (session) => session.addPoints(clicks)))
  }

  #session(id: string): OpenSession {
    const open = this.#sessions.get(id)
    if (open) return open
    throw new Sam3RuntimeError('ERR_SESSION_CLOSED', `There is no session ${shown(id)}; it may have been closed.`, {
      fix: 'Start one with a start_session request.',
    })
  }
}
recogniseInAllCopies(Sam3VideoPredictor, 'Sam3VideoPredictor')

/** Corners instead of the reference's corner and size; what is no box stays as it is, for the session to refuse. */
function toBoxPrompts(boxes: unknown, labels: AddPromptRequest['bounding_box_labels']): BoxPrompt[] {
  const rows = toRows(boxes, 4)
  if (!rows) {
    throw new Sam3InputError('ERR_INVALID_BOX', `bounding_boxes must be a list of boxes, not ${shown(boxes)}.`, {
      fix: 'Send bounding_boxes: [[x, y, width, height]], 0..1 of the video.',
    })
  }
  return rows.map((row, index) => {
    const numbers = toNumbers(row)
    if (numbers?.length !== 4) {
      throw new Sam3InputError(
        'ERR_INVALID_BOX',
        `Box ${index} must be four numbers [x, y, width, height], not ${shown(row)}.`,
        { fix: 'Send bounding_boxes: [[x, y, width, height]], 0..1 of the video.' },
      )
    }
    const [x, y, width, height] = numbers as [number, number, number, number]
    return { box: [x, y, x + width, y + height], label: (labels?.[index] ?? 1) as PromptLabel }
  })
}

function unknownRequest(request: unknown): Sam3InputError {
  const type = (request as { type?: unknown } | undefined)?.type
  return new Sam3InputError('ERR_INVALID_ARGUMENT', `There is no request of type ${shown(type)}.`, {
    fix: 'Types are start_session, add_prompt, remove_object, reset_session, close_session and, streamed, propagate_in_video.',
  })
}
