/** `POST /v1/sessions/{id}/propagate`: follows the objects, a line for each frame; the network works as fast as lines are taken. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type FrameResult, Sam3ServiceError } from 'sam3-node'
import Type from 'typebox'
import { NDJSON_TYPE } from '../formats/choose.js'
import { frameJson } from '../formats/frame.js'
import type { MaskForm } from '../formats/json.js'
import { sendLines } from '../formats/ndjson.js'
import { checker } from '../input/check.js'
import { describeJson } from '../openapi.js'
import type { Running } from '../running-requests.js'
import { watchedSteps } from '../../pool/watched-steps.js'
import type { Route, Service } from '../service.js'
import { PropagateSchema, SessionParams } from '../session-schemas.js'

const check = checker(PropagateSchema)

export const sessionPropagateRoute: Route = (app, service) => {
  type Of = { Params: { id: string } }
  app.post<Of>('/v1/sessions/:id/propagate', describeJson(PropagateSchema, ABOUT), (request, reply) => {
    service.pool.checkRoom()
    return service.requests.within(
      reply,
      (running) => propagate(request, request.params.id, reply, running, service),
      Number.POSITIVE_INFINITY, // as long as its reader takes lines
    )
  })
}

function propagate(
  request: FastifyRequest,
  id: string,
  reply: FastifyReply,
  running: Running,
  { sessions, pool, config }: Service,
): Promise<FastifyReply> {
  const { format = 'rle', tolerance, ...options } = check(request.body ?? {})
  const { signal } = running
  return sessions.use(id, ({ session, model }) => {
    const results = watchedSteps(session.propagate({ ...options, signal }), (work) => pool.watch(model, work))
    const lines = frames(results, { form: format, tolerance })
    return sendLines(reply, paced(lines, running, config.sessionIdleMs), signal)
  })
}

async function* frames(results: AsyncIterable<FrameResult>, form: MaskForm) {
  let count = 0
  for await (const result of results) {
    count++
    yield { type: 'frame', ...frameJson(result, form) }
  }
  yield { type: 'end', frames: count }
}

/** Gives up on a reader who takes no line for so long. */
async function* paced(lines: AsyncGenerator<object, void, void>, { stop }: Running, longest: number) {
  for await (const line of lines) {
    const timer = setTimeout(() => stop(stalled(longest)), longest)
    try {
      yield line
    } finally {
      clearTimeout(timer)
    }
  }
}

function stalled(longest: number): Sam3ServiceError {
  return new Sam3ServiceError('ERR_TIMEOUT', `No frame was taken for ${longest / 1000} s.`, {
    fix: 'Take frames as they come, or fewer of them: maxFrames.',
  })
}

const ABOUT = {
  summary: 'Follow the objects through the video',
  description:
    'A line for each frame (`"type": "frame"`), the last one says how many there were (`"type": "end"`), or what went ' +
    'wrong (`"type": "error"`). A session has one propagation at a time; prompts may be added meanwhile. Who leaves ends it.',
  tags: ['videos'],
  response: Type.String({ description: 'lines of JSON' }),
  type: NDJSON_TYPE,
  params: SessionParams,
}
