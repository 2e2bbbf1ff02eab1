/** Roboflow's `/sam3/concept_segment`, for its clients. What is not covered is in docs/serve.md, and is refused. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Box, type Instance, type Prompt, Sam3ServiceError, type Segmentation } from 'sam3-node'
import Type, { type Static } from 'typebox'
import { checker } from '../input/check.js'
import { openPixels } from '../input/images.js'
import { describeJson } from '../openapi.js'
import type { Running } from '../running-requests.js'
import { ScoreSchema } from '../schemas.js'
import type { Route, Service } from '../service.js'

const strict = { additionalProperties: false } as const

const BoxSchema = Type.Union([
  Type.Object({ x: Type.Number(), y: Type.Number(), width: Type.Number(), height: Type.Number() }, strict),
  Type.Object({ x0: Type.Number(), y0: Type.Number(), x1: Type.Number(), y1: Type.Number() }, strict),
])

const PromptSchema = Type.Object(
  {
    type: Type.Optional(Type.Union([Type.Literal('text'), Type.Literal('visual')])),
    text: Type.Optional(Type.String()),
    output_prob_thresh: Type.Optional(ScoreSchema),
    boxes: Type.Optional(Type.Array(BoxSchema, { description: 'in pixels' })),
    box_labels: Type.Optional(Type.Array(Type.Union([Type.Literal(0), Type.Literal(1), Type.Boolean()]))),
  },
  strict,
)

const RequestSchema = Type.Object(
  {
    image: Type.Object(
      { type: Type.Union([Type.Literal('base64'), Type.Literal('url')]), value: Type.String() },
      strict,
    ),
    prompts: Type.Array(PromptSchema, { minItems: 1 }),
    format: Type.Optional(
      Type.Union([Type.Literal('polygon'), Type.Literal('rle')], { description: 'default polygon' }),
    ),
    output_prob_thresh: Type.Optional(ScoreSchema),
    model_id: Type.Optional(Type.Literal('sam3/sam3_final')),
    image_id: Type.Optional(Type.String({ description: 'of no effect here' })),
    api_key: Type.Optional(Type.String({ description: 'of no effect here: send a bearer token' })),
  },
  strict,
)
type Asked = Static<typeof RequestSchema>

const AnswerSchema = Type.Object({
  prompt_results: Type.Array(
    Type.Object({
      prompt_index: Type.Integer(),
      echo: Type.Object({
        prompt_index: Type.Integer(),
        type: Type.String(),
        text: Type.Optional(Type.String()),
        num_boxes: Type.Integer(),
      }),
      predictions: Type.Array(Type.Object({ format: Type.String(), confidence: ScoreSchema, masks: Type.Unknown() })),
    }),
  ),
  time: Type.Number({ description: 'seconds' }),
})

const check = checker(RequestSchema)

export const roboflowRoutes: Route = (app, service) => {
  const about = {
    summary: "Find what texts and boxes describe, as Roboflow's API has it",
    description: 'For clients that are there already; POST /v1/segment has more.',
    tags: ['Roboflow'],
    response: AnswerSchema,
  }
  app.post('/sam3/concept_segment', describeJson(RequestSchema, about), (request, reply) => {
    service.pool.checkRoom()
    return service.requests.within(reply, (running) => segment(request, reply, running, service))
  })
}

async function segment(
  request: FastifyRequest,
  reply: FastifyReply,
  { signal }: Running,
  service: Service,
): Promise<FastifyReply> {
  const asked = check(request.body)
  const { maxPrompts } = service.config
  if (asked.prompts.length > maxPrompts) {
    throw new Sam3ServiceError('ERR_TOO_LARGE', `The request has more than ${maxPrompts} prompts.`, {
      fix: 'Send them in several requests.',
    })
  }
  const begun = performance.now()
  const { type, value } = asked.image
  const pixels = await openPixels(type === 'url' ? { url: value } : value, service, signal)
  const ticket = { client: request.client, signal, share: 1 }
  const prompts = asked.prompts.map((prompt) => promptOf(prompt, asked))
  const results = await service.pool.run(ticket, (model, options) => model.segment(pixels, prompts, options))
  const answers = results.map((result, index) => answerOf(result, index, asked))
  return reply.send({ prompt_results: answers, time: (performance.now() - begun) / 1000 })
}

function promptOf(
  { text, boxes = [], box_labels: labels, output_prob_thresh }: Asked['prompts'][number],
  asked: Asked,
): Prompt {
  if (labels !== undefined && labels.length !== boxes.length) {
    throw new Sam3ServiceError('ERR_BAD_REQUEST', `A prompt has ${boxes.length} boxes and ${labels.length} labels.`, {
      fix: 'Send one label for each box.',
    })
  }
  return {
    ...(text !== undefined && { text }),
    boxes: boxes.map((box, index) => ({ box: cornersOf(box), label: labels === undefined || labels[index] ? 1 : 0 })),
    threshold: output_prob_thresh ?? asked.output_prob_thresh ?? 0.5,
  }
}

function cornersOf(box: Static<typeof BoxSchema>): Box {
  return 'x0' in box ? [box.x0, box.y0, box.x1, box.y1] : [box.x, box.y, box.x + box.width, box.y + box.height]
}

function answerOf({ instances }: Segmentation, index: number, { prompts, format = 'polygon' }: Asked) {
  const { text, boxes = [] } = prompts[index]!
  const type = text === undefined ? 'visual' : 'text'
  const masksOf = ({ mask }: Instance) =>
    format === 'rle' ? mask.toRle() : mask.toPolygons().map(({ outline }) => outline)
  return {
    prompt_index: index,
    echo: { prompt_index: index, type, text, num_boxes: boxes.length },
    predictions: instances.map((instance) => ({ format, confidence: instance.score, masks: masksOf(instance) })),
  }
}
