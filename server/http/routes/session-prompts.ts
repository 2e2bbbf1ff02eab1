/** `POST /v1/sessions/{id}/prompts`: what to follow; `DELETE` of a prompt or an object takes it back. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  Mask,
  type ObjectPoints,
  type PromptResult,
  type FrameResult,
  Sam3ServiceError,
  type VideoPrompt,
  type VideoSession,
} from 'sam3-node'
import Type from 'typebox'
import { frameJson } from '../formats/frame.js'
import { checker } from '../input/check.js'
import { describeJson, PROBLEMS } from '../openapi.js'
import type { Running } from '../running-requests.js'
import type { Route, Service } from '../service.js'
import { FrameSchema, SessionParams, type VideoPromptInput, VideoPromptSchema } from '../session-schemas.js'

const check = checker(VideoPromptSchema)

export const sessionPromptsRoute: Route = (app, service) => {
  type Of = { Params: { id: string } }
  app.post<Of>('/v1/sessions/:id/prompts', describeJson(VideoPromptSchema, ABOUT), (request, reply) => {
    service.pool.checkRoom()
    return service.requests.within(reply, (running) => prompt(request, request.params.id, reply, running, service))
  })
  const removing = (name: string, what: string) => ({
    schema: {
      summary: `No longer follow ${what}`,
      tags: ['videos'],
      params: Type.Object({ ...SessionParams.properties, [name]: Type.Integer({ minimum: 0 }) }),
      response: { 204: Type.Null({ description: 'done' }), ...PROBLEMS },
    },
  })
  type OfPrompt = { Params: { id: string; prompt: number } }
  const ofPrompt = removing('prompt', 'what a prompt found')
  app.delete<OfPrompt>('/v1/sessions/:id/prompts/:prompt', ofPrompt, async ({ params }, reply) => {
    await service.sessions.use(params.id, ({ session }) => session.removePrompt(params.prompt))
    return reply.code(204).send()
  })
  type OfObject = { Params: { id: string; object: number } }
  const ofObject = removing('object', 'an object')
  app.delete<OfObject>('/v1/sessions/:id/objects/:object', ofObject, async ({ params }, reply) => {
    await service.sessions.use(params.id, ({ session }) => session.removeObject(params.object))
    return reply.code(204).send()
  })
}

async function prompt(
  request: FastifyRequest,
  id: string,
  reply: FastifyReply,
  { signal }: Running,
  { sessions, pool, metrics }: Service,
): Promise<FastifyReply> {
  const { format = 'rle', tolerance, ...asked } = check(request.body)
  const result = await sessions.use(id, ({ session, model }) =>
    pool.run({ client: request.client, signal, model }, () => add(session, asked, signal)),
  )
  return metrics.time('encode_output', async () => reply.send(frameJson(result, { form: format, tolerance })))
}

/** Which of the three kinds of prompt it is. */
function add(
  session: VideoSession,
  asked: Omit<VideoPromptInput, 'format' | 'tolerance'>,
  signal: AbortSignal,
): Promise<FrameResult | PromptResult> {
  const { frameIndex, objectId, mask, text, boxes, normalized, ...clicks } = asked
  if (objectId === undefined) {
    if (mask || Object.values(clicks).some((value) => value !== undefined)) throw mixed()
    return session.addPrompt({ frameIndex, text, boxes, normalized } as VideoPrompt, { signal })
  }
  if (text !== undefined || boxes) throw mixed()
  if (!mask) return session.addPoints({ frameIndex, objectId, normalized, ...clicks } as ObjectPoints, { signal })
  const [height, width] = mask.size as [number, number]
  const { counts } = mask
  return session.addMask({ frameIndex, objectId, mask: Mask.fromRle({ size: [height, width], counts }) }, { signal })
}

function mixed(): Sam3ServiceError {
  return new Sam3ServiceError(
    'ERR_BAD_REQUEST',
    'A text or exemplars find objects; clicks, a box or a mask are on one.',
    {
      fix: 'Send "objectId" with clicks, a box or a mask, and no "objectId" with a text or exemplars.',
    },
  )
}

const ABOUT = {
  summary: 'Say what to follow',
  description:
    'A text or an exemplar box, or clicks, a box or a mask of one object. Answers the objects of that frame.',
  tags: ['videos'],
  response: FrameSchema,
  params: SessionParams,
}
