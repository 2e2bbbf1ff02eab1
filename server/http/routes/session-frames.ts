/** `POST /v1/sessions/{id}/frames`: pushes a frame into a live video; `…/end`: none will follow. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Sam3ServiceError } from 'sam3-node'
import Type from 'typebox'
import { abortable } from '../../../lib/base/wake.js'
import { checker } from '../input/check.js'
import { imageOf, openPixels } from '../input/images.js'
import { readAsked } from '../input/read.js'
import { describe, PROBLEMS } from '../openapi.js'
import type { Running } from '../running-requests.js'
import { KeepSchema } from '../schemas.js'
import type { Route, Service } from '../service.js'
import { SessionParams } from '../session-schemas.js'

const check = checker(KeepSchema)

export const sessionFramesRoute: Route = (app, service) => {
  type Of = { Params: { id: string } }
  app.post<Of>('/v1/sessions/:id/frames', describe(KeepSchema, ABOUT), (request, reply) =>
    service.requests.within(reply, (running) => push(request, request.params.id, reply, running, service)),
  )
  const schema = {
    summary: 'No frame will follow',
    tags: ['videos'],
    params: SessionParams,
    response: { 204: Type.Null({ description: 'done' }), ...PROBLEMS },
  }
  app.post<Of>('/v1/sessions/:id/end', { schema }, async (request, reply) => {
    await service.sessions.use(request.params.id, async ({ session }) => session.end())
    return reply.code(204).send()
  })
}

async function push(
  request: FastifyRequest,
  id: string,
  reply: FastifyReply,
  { signal, limit }: Running,
  service: Service,
): Promise<FastifyReply> {
  const { input, asked } = await readAsked(request, service.config, check, limit)
  const source = imageOf(input, asked, service, 'A frame is one image', 'Send a request for each frame.')
  const pixels = await openPixels(source, service, signal)
  const { maxFrames } = service.config
  const kept = await service.sessions.use(id, async (open) => {
    if (open.pushed !== undefined && open.pushed++ >= maxFrames) {
      throw new Sam3ServiceError('ERR_TOO_LARGE', `${maxFrames} frames were pushed, which is the most.`, {
        fix: 'Start another session.',
      })
    }
    return abortable(open.session.push(pixels), signal)
  })
  return reply.send({ kept })
}

const ABOUT = {
  summary: 'Push a frame into a live video',
  description: 'All frames have the size that the session was started with. `kept`: false where it had to be dropped.',
  tags: ['videos'],
  response: Type.Object({ kept: Type.Boolean() }),
  hasFormats: false,
  params: SessionParams,
}
