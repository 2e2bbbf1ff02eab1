/** `POST /v1/predict`: the object that clicks, a box or a previous mask point at. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type PointPrompt, type Prediction, type RawImage, Sam3InputError, Sam3ServiceError } from 'sam3-node'
import { chooseFormat, type Format, PNG_TYPE } from '../formats/choose.js'
import { predictionJson } from '../formats/json.js'
import { labelsPng, overlayPng } from '../formats/png.js'
import { checker } from '../input/check.js'
import { askImage, imageOf, openImage } from '../input/images.js'
import { readAsked } from '../input/read.js'
import { PredictAnswerSchema, type PredictInput, PredictSchema } from '../schemas.js'
import { describe } from '../openapi.js'
import type { Running } from '../running-requests.js'
import type { Route, Service } from '../service.js'

const check = checker(PredictSchema)

export const predictRoute: Route = (app, service) => {
  app.post('/v1/predict', describe(PredictSchema, ABOUT), (request, reply) => {
    service.pool.checkRoom()
    return service.requests.within(reply, (running) => predict(request, reply, running, service))
  })
}

async function predict(
  request: FastifyRequest,
  reply: FastifyReply,
  { signal, limit }: Running,
  service: Service,
): Promise<FastifyReply> {
  const { input, asked } = await readAsked(request, service.config, check, limit)
  const format = chooseFormat(request, asked.format)
  if (format === 'ndjson') {
    throw new Sam3ServiceError('ERR_NOT_ACCEPTABLE', 'Clicks are not answered line by line.', { fix: 'Ask for JSON.' })
  }
  const prompts = promptsOf(asked, service)
  const source = imageOf(input, asked, service, 'Clicks are on one image')
  const image = await openImage(source, service, signal)
  const ticket = { client: request.client, signal, priority: asked.priority }
  const predictions = await askImage(image, ticket, service, (model, of, options) =>
    model.predict(of, prompts, options),
  )
  return service.metrics.time('encode_output', () => send(reply, image.pixels, predictions, format, asked))
}

function promptsOf(asked: PredictInput, { config }: Service): PointPrompt[] {
  const { prompts, points, labels, box, maskInput, multimask, normalized } = asked
  const beside = { points, labels, box, maskInput, multimask, normalized }
  if (prompts && Object.values(beside).some((value) => value !== undefined)) {
    throw new Sam3ServiceError('ERR_BAD_REQUEST', 'The request has both "prompts" and clicks beside it.', {
      fix: 'Put all clicks into "prompts".',
    })
  }
  const all = prompts ?? [beside]
  if (all.length > config.maxPrompts) {
    throw new Sam3ServiceError(
      'ERR_TOO_LARGE',
      `The request has ${all.length} prompts; ${config.maxPrompts} are taken at once.`,
      { fix: 'Send them in several requests.' },
    )
  }
  return all.map(({ maskInput: mask, ...prompt }) => {
    const given = Object.entries({ ...prompt, maskInput: mask && logitsOf(mask) })
    return Object.fromEntries(given.filter(([, value]) => value !== undefined)) as PointPrompt
  })
}

function logitsOf({ size, data }: NonNullable<PredictInput['maskInput']>): Float32Array {
  const bytes = Buffer.from(data, 'base64')
  if (bytes.length !== size * size * 4) {
    throw new Sam3InputError(
      'ERR_INVALID_MASK',
      `The mask input has ${bytes.length} bytes, not ${size} x ${size} x 4.`,
      {
        fix: 'Send the "logits" of an earlier answer as they are.',
      },
    )
  }
  return new Float32Array(Uint8Array.from(bytes).buffer)
}

async function send(
  reply: FastifyReply,
  pixels: RawImage | undefined,
  predictions: readonly Prediction[],
  format: Exclude<Format, 'ndjson'>,
  { tolerance, logits = false }: PredictInput,
): Promise<FastifyReply> {
  const best = predictions.map((prediction) => prediction.best)
  if (format === 'overlay') return reply.type(PNG_TYPE).send(await overlayPng(pixels, best))
  const { width, height } = best[0]?.mask ?? { width: 0, height: 0 }
  if (format === 'labels')
    return reply.type(PNG_TYPE).send(
      await labelsPng(
        width,
        height,
        best.map(({ mask }) => mask),
      ),
    )
  const results = predictions.map((prediction) => predictionJson(prediction, { form: format, tolerance }, logits))
  return reply.send({ width, height, results })
}

const ABOUT = {
  summary: 'Segment what clicks, a box or a mask point at',
  description: 'One result for each prompt, with its masks best first.',
  tags: ['images'],
  response: PredictAnswerSchema,
}
