/** `POST /v1/segment`: every instance of what texts and exemplar boxes describe, on one or several images. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Prompt, type RawImage, Sam3ServiceError, type Segmentation } from 'sam3-node'
import { chooseFormat, type Format, PNG_TYPE } from '../formats/choose.js'
import { imageJson, instanceJson, type MaskForm, resultHead } from '../formats/json.js'
import { sendLines } from '../formats/ndjson.js'
import { labelsPng, overlayPng } from '../formats/png.js'
import { inTurn } from '../in-turn.js'
import { checker } from '../input/check.js'
import { askImage, imagesOf, openImage } from '../input/images.js'
import { readAsked } from '../input/read.js'
import { SegmentAnswerSchema, type SegmentInput, SegmentSchema } from '../schemas.js'
import { describe } from '../openapi.js'
import type { Running } from '../running-requests.js'
import type { Route, Service } from '../service.js'

const check = checker(SegmentSchema)

/** Images of one request that are decoded or asked at a time. */
const IMAGES_AT_A_TIME = 4

/** One image with its answers. */
interface Answer {
  pixels: RawImage | undefined
  results: Segmentation[]
}

export const segmentRoute: Route = (app, service) => {
  app.post('/v1/segment', describe(SegmentSchema, ABOUT), (request, reply) => {
    service.pool.checkRoom()
    return service.requests.within(reply, (running) => segment(request, reply, running, service))
  })
}

async function segment(
  request: FastifyRequest,
  reply: FastifyReply,
  { signal, limit }: Running,
  service: Service,
): Promise<FastifyReply> {
  const { input, asked } = await readAsked(request, service.config, check, limit)
  const format = chooseFormat(request, asked.format)
  const prompts = promptsOf(asked, service)
  const sources = imagesOf(input, asked, service)
  if ((format === 'overlay' || format === 'labels') && sources.length > 1) {
    throw new Sam3ServiceError('ERR_NOT_ACCEPTABLE', 'A picture can be made of one image.', {
      fix: 'Send one image, or ask for JSON.',
    })
  }
  const ticket = { client: request.client, signal, priority: asked.priority, share: 1 }
  const answers = inTurn(sources, IMAGES_AT_A_TIME, async (source): Promise<Answer> => {
    const image = await openImage(source, service, signal)
    const results = await askImage(image, ticket, service, (model, of, options) => model.segment(of, prompts, options))
    return { pixels: image.pixels, results }
  })
  const texts = prompts.map(({ text }) => text)
  if (format === 'ndjson') return sendLines(reply, linesOf(answers, texts), signal)
  const all: Answer[] = []
  for await (const answer of answers) all.push(answer)
  return service.metrics.time('encode_output', () => send(reply, all, texts, format, asked.tolerance))
}

/** The prompts for each image: those of the list, then the texts, with the settings that stand beside them. */
function promptsOf(asked: SegmentInput, { config }: Service): Prompt[] {
  const { text, prompts = [], boxes, threshold, maxInstances, normalized, semantic } = asked
  const settings = { boxes, threshold, maxInstances, normalized, semantic } as Omit<Prompt, 'text'>
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
  const all = [...(prompts as Prompt[]), ...[text ?? []].flat().map((one): Prompt => ({ text: one }))]
  // Boxes alone are a prompt as well.
  const expanded = (all.length === 0 ? [{}] : all).map((prompt): Prompt => ({ ...given, ...prompt }))
  if (expanded.length > config.maxPrompts) {
    throw new Sam3ServiceError(
      'ERR_TOO_LARGE',
      `The request has ${expanded.length} prompts for each image; ${config.maxPrompts} are taken at once.`,
      { fix: 'Send them in several requests.' },
    )
  }
  return expanded
}

async function send(
  reply: FastifyReply,
  answers: readonly Answer[],
  texts: readonly (string | undefined)[],
  format: Exclude<Format, 'ndjson'>,
  tolerance: number | undefined,
): Promise<FastifyReply> {
  const [{ pixels, results }] = answers as [Answer]
  const instances = results.flatMap((result) => result.instances)
  if (format === 'overlay') return reply.type(PNG_TYPE).send(await overlayPng(pixels, instances))
  if (format === 'labels') {
    const { width, height } = results[0]!
    return reply.type(PNG_TYPE).send(
      await labelsPng(
        width,
        height,
        instances.map(({ mask }) => mask),
      ),
    )
  }
  const form: MaskForm = { form: format, tolerance }
  return reply.send({ images: answers.map((answer) => imageJson(texts, answer.results, form)) })
}

/** A line for each result, followed by one for each of its instances. */
async function* linesOf(
  answers: AsyncGenerator<Answer, void, void>,
  texts: readonly (string | undefined)[],
): AsyncGenerator<object, void, void> {
  const form: MaskForm = { form: 'rle' }
  let image = 0
  for await (const { results } of answers) {
    for (const [prompt, result] of results.entries()) {
      const { width, height, instances } = result
      const head = resultHead(texts[prompt], result, form)
      yield { type: 'result', image, prompt, width, height, count: instances.length, ...head }
      for (const instance of instances) yield { type: 'instance', image, prompt, ...instanceJson(instance, form) }
    }
    image++
  }
}

const ABOUT = {
  summary: 'Find every instance of a concept',
  description:
    'Texts, exemplar boxes, or both; each prompt on each image. A form has files named "image" and the members of the ' +
    'JSON body as fields, in any order; an image as the body has them in the query.',
  tags: ['images'],
  response: SegmentAnswerSchema,
}
