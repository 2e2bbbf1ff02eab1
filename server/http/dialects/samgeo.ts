/**
 * The form endpoints of samgeo-api (segment-geospatial), for its clients: `/segment/text`, `/segment/predict`, `/models`.
 * What is not covered is in docs/serve.md; all of it is refused, none is ignored.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Mask, type RawImage, Sam3ServiceError } from 'sam3-node'
import Type, { type Static } from 'typebox'
import { readTiffTags } from '../../../lib/image/tiff-tags.js'
import { PNG_TYPE } from '../formats/choose.js'
import { labelsPng } from '../formats/png.js'
import { checker } from '../input/check.js'
import { openPixels } from '../input/images.js'
import { readInput } from '../input/read.js'
import { describe } from '../openapi.js'
import type { Running } from '../running-requests.js'
import { BoxSchema, Numbers } from '../schemas.js'
import type { Route, Service } from '../service.js'
import { boxesToGeoJson, masksToGeoJson } from './geojson.js'

const MODEL = 'facebook/sam3'
/** Tag of a TIFF that lies on a map. */
const GEO_KEYS = 34735

const common = {
  model_version: Type.Optional(Type.Literal('sam3')),
  model_id: Type.Optional(Type.Literal(MODEL)),
  output_format: Type.Optional(
    Type.Union([Type.Literal('geojson'), Type.Literal('detections'), Type.Literal('json'), Type.Literal('png')], {
      description: 'default geojson',
    }),
  ),
  min_size: Type.Optional(Type.Integer({ description: 'smallest mask, in pixels' })),
  max_size: Type.Optional(Type.Integer({ description: 'largest mask, in pixels; 0: any' })),
}
const strict = { additionalProperties: false } as const

const TextSchema = Type.Object(
  {
    prompt: Type.String({ description: 'what to find' }),
    backend: Type.Optional(Type.String({ description: 'of no effect here' })),
    confidence_threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    ...common,
  },
  strict,
)
const PointsSchema = Type.Object(
  {
    point_coords: Type.Optional(Type.Array(Numbers(2, '[x, y] in pixels'), { minItems: 1 })),
    point_labels: Type.Optional(Type.Array(Type.Union([Type.Literal(0), Type.Literal(1)]))),
    boxes: Type.Optional(Type.Union([BoxSchema, Type.Array(BoxSchema, { minItems: 1 })])),
    multimask_output: Type.Optional(Type.Boolean()),
    ...common,
  },
  strict,
)
const [checkText, checkPoints] = [checker(TextSchema), checker(PointsSchema)]

/** What was found, best first. */
interface Found {
  mask: Mask
  score?: number
  box?: readonly number[]
}

export const samgeoRoutes: Route = (app, service) => {
  const about = { tags: ['samgeo-api'], response: Type.Unknown(), description: 'As samgeo-api has it, in pixels.' }
  const text = describe(TextSchema, { ...about, summary: 'Find what a text says' })
  app.post('/segment/text', text, (request, reply) => {
    service.pool.checkRoom()
    return service.requests.within(reply, (running) => segmentText(request, reply, running, service))
  })
  const points = describe(PointsSchema, { ...about, summary: 'Find what boxes show, or what points are on' })
  app.post('/segment/predict', points, (request, reply) => {
    service.pool.checkRoom()
    return service.requests.within(reply, (running) => segmentPoints(request, reply, running, service))
  })
  app.get('/models', { schema: { summary: 'The model', tags: about.tags } }, () => ({
    models: { sam3: [MODEL] },
    loaded: service.pool.state === 'ready' ? [['sam3', MODEL, true]] : [],
  }))
}

async function segmentText(
  request: FastifyRequest,
  reply: FastifyReply,
  { signal }: Running,
  service: Service,
): Promise<FastifyReply> {
  const { asked, pixels } = await read(request, checkText, signal, service)
  const ticket = { client: request.client, signal, share: 1 }
  const prompt = { text: asked.prompt, threshold: asked.confidence_threshold ?? 0.5 }
  const { instances } = await service.pool.run(ticket, (model, options) => model.segment(pixels, prompt, options))
  return send(reply, pixels, instances, asked)
}

async function segmentPoints(
  request: FastifyRequest,
  reply: FastifyReply,
  { signal }: Running,
  service: Service,
): Promise<FastifyReply> {
  const { asked, pixels } = await read(request, checkPoints, signal, service)
  const { point_coords: points, point_labels: labels, boxes, multimask_output: multimask = false } = asked
  const ticket = { client: request.client, signal, share: 1 }
  // As there: boxes show what to find all of, points are on one thing.
  if (boxes) {
    const list = (typeof boxes[0] === 'number' ? [boxes] : boxes) as [number, number, number, number][]
    const { instances } = await service.pool.run(ticket, (model, options) =>
      model.segment(pixels, { boxes: list }, options),
    )
    return send(
      reply,
      pixels,
      instances.map(({ mask }) => ({ mask })),
      asked,
    )
  }
  if (!points) {
    throw new Sam3ServiceError('ERR_BAD_REQUEST', 'The request has neither point_coords nor boxes.', {
      fix: 'Send one of the two.',
    })
  }
  const prompt = { points: points as [number, number][], labels, multimask }
  const { masks } = await service.pool.run(ticket, (model, options) => model.predict(pixels, prompt, options))
  return send(
    reply,
    pixels,
    masks.map((mask) => ({ mask })),
    asked,
  )
}

async function read<T extends Static<typeof TextSchema> | Static<typeof PointsSchema>>(
  request: FastifyRequest,
  check: (value: unknown) => T,
  signal: AbortSignal,
  service: Service,
): Promise<{ asked: T; pixels: RawImage }> {
  const { fields, files } = await readInput(request, service.config)
  // Forms of a browser have empty texts where nothing was written.
  const asked = check(Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== '')))
  const [file, ...more] = files
  if (!file || more.length > 0) {
    throw new Sam3ServiceError('ERR_BAD_REQUEST', 'The form needs one file, named "file".', { fix: 'Send one.' })
  }
  const { output_format: format = 'geojson' } = asked
  if ((format === 'geojson' || format === 'detections') && isOnMap(file)) {
    throw new Sam3ServiceError('ERR_NOT_ACCEPTABLE', 'The image lies on a map, whose coordinates are not made here.', {
      fix: 'Ask for json or png, which are in pixels.',
    })
  }
  return { asked, pixels: await openPixels(file, service, signal) }
}

const isOnMap = (file: Buffer) => /^(II|MM)/.test(file.toString('latin1', 0, 2)) && readTiffTags(file).has(GEO_KEYS)

async function send(
  reply: FastifyReply,
  { width, height }: RawImage,
  all: readonly Found[],
  {
    output_format: format = 'geojson',
    min_size: least = 0,
    max_size: most = 0,
  }: Static<typeof TextSchema> | Static<typeof PointsSchema>,
): Promise<FastifyReply> {
  const found = all.filter(({ mask }) => mask.area > 0 && mask.area >= least && (most <= 0 || mask.area <= most))
  if (found.length === 0) {
    throw new Sam3ServiceError('ERR_NOT_FOUND', 'No objects found for the given prompt.', {
      fix: 'Try another prompt, or a lower confidence_threshold.',
    })
  }
  const masks = found.map(({ mask }) => mask)
  if (format === 'png') return reply.type(PNG_TYPE).send(await labelsPng(width, height, masks))
  if (format === 'geojson') return reply.send(masksToGeoJson(masks))
  if (format === 'detections') {
    return reply.send(
      boxesToGeoJson(
        found.map((one, index) => ({
          box: one.box ?? one.mask.box,
          properties: { id: index + 1, ...scoreOrValue(one, index) },
        })),
      ),
    )
  }
  const detections = found.map((one, index) => {
    const [x0, y0, x1, y1] = (one.box ?? one.mask.box).map(Math.round) as [number, number, number, number]
    return { id: index + 1, bbox: [x0, y0, x1, y1], width: x1 - x0, height: y1 - y0, ...scoreOrValue(one, index) }
  })
  return reply.send({ image_width: width, image_height: height, num_detections: detections.length, detections })
}

/** A score where there is one, else the value in the map of labels. */
const scoreOrValue = ({ score }: Found, index: number) => (score === undefined ? { value: index + 1 } : { score })
