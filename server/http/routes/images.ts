/** `POST /v1/images`: keeps an image on the device, so that each question costs a fraction. `DELETE` forgets it. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { checker } from '../input/check.js'
import { imageOf, openPixels } from '../input/images.js'
import { readAsked } from '../input/read.js'
import { describe, PROBLEMS } from '../openapi.js'
import type { Running } from '../running-requests.js'
import { KeepAnswerSchema, KeepSchema } from '../schemas.js'
import type { Route, Service } from '../service.js'

const check = checker(KeepSchema)

export const imagesRoute: Route = (app, service) => {
  app.post('/v1/images', describe(KeepSchema, ABOUT), (request, reply) => {
    service.pool.checkRoom()
    return service.requests.within(reply, (running) => keep(request, reply, running, service))
  })
  const schema = {
    summary: 'Forget an image',
    tags: ['images'],
    params: Type.Object({ id: Type.String() }),
    response: { 204: Type.Null({ description: 'done' }), ...PROBLEMS },
  }
  app.delete<{ Params: { id: string } }>('/v1/images/:id', { schema }, (request, reply) => {
    service.images.delete(request.params.id)
    return reply.code(204).send()
  })
}

async function keep(
  request: FastifyRequest,
  reply: FastifyReply,
  { signal, limit }: Running,
  service: Service,
): Promise<FastifyReply> {
  const { input, asked } = await readAsked(request, service.config, check, limit)
  const source = imageOf(input, asked, service, 'Images are kept one by one')
  const pixels = await openPixels(source, service, signal)
  const ticket = { client: request.client, signal, priority: asked.priority }
  const kept = await service.pool.run(ticket, async (model, options) => {
    service.images.checkFits(model.info.featureBytes)
    return { model, image: await model.encode(pixels, options) }
  })
  const id = service.images.add(kept)
  const { width, height } = kept.image
  const path = `${request.routeOptions.url}/${id}`
  return reply.code(201).header('location', path).send({ id, width, height })
}

const ABOUT = {
  summary: 'Keep an image for many questions',
  description:
    'Its features stay on the device, under an id that stands for the image in other requests. When room is needed, the ' +
    'image used longest ago goes: a request for it is then a 404.',
  tags: ['images'],
  response: KeepAnswerSchema,
  status: 201,
  hasFormats: false,
}
