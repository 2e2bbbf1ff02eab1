/** What requests hold, once: the same schemas check them and make the OpenAPI document. */
import Type, { type Static } from 'typebox'
import { PRIORITIES } from '../pool/fair-queue.js'

export const Numbers = (length: number, about: string) =>
  Type.Array(Type.Number(), { minItems: length, maxItems: length, description: about })

export const BoxSchema = Numbers(4, '[x0, y0, x1, y1]: left, top, right, bottom, in pixels (0..1 where normalized)')
const PointSchema = Numbers(2, '[x, y] in pixels (0..1 where normalized)')
const LabelSchema = Type.Union([Type.Literal('positive'), Type.Literal('negative'), Type.Literal(1), Type.Literal(0)], {
  description: 'positive (1): such; negative (0): not such',
})

/** An image in a JSON request; in a form it is a file, or one of these as text. */
export const ImageSchema = Type.Union(
  [
    Type.String({ description: 'the bytes of an encoded image in base64, also as a data: address' }),
    Type.Object(
      { id: Type.String() },
      { additionalProperties: false, description: 'an image kept by POST /v1/images' },
    ),
    Type.Object(
      { url: Type.String() },
      { additionalProperties: false, description: 'an address, where the service takes them' },
    ),
  ],
  { description: 'an image' },
)
export type ImageReference = Static<typeof ImageSchema>

const images = {
  image: Type.Optional(ImageSchema),
  images: Type.Optional(Type.Array(ImageSchema, { minItems: 1, description: 'several images, each with all prompts' })),
}

/** How a request is served. */
const service = {
  priority: Type.Optional(
    Type.Union(
      PRIORITIES.map((priority) => Type.Literal(priority)),
      { description: 'which requests go first; default normal' },
    ),
  ),
  timeoutMs: Type.Optional(
    Type.Integer({ minimum: 1, description: 'give up after this long; at most what the service allows' }),
  ),
}

/** What comes out. */
const answers = {
  format: Type.Optional(
    Type.Union(
      ['rle', 'polygons', 'overlay', 'labels', 'ndjson'].map((format) => Type.Literal(format)),
      { description: 'what comes out; goes before the header Accept; default rle' },
    ),
  ),
  tolerance: Type.Optional(
    Type.Number({ minimum: 0, description: 'of polygons: pixels by which they may leave the outline; default 0' }),
  ),
}

export const ExemplarsSchema = Type.Array(
  Type.Union([
    BoxSchema,
    Type.Object({ box: BoxSchema, label: Type.Optional(LabelSchema) }, { additionalProperties: false }),
  ]),
  { description: 'exemplars: boxes around what is meant, or not meant' },
)

/** What texts and exemplars can set besides. */
const settings = {
  boxes: Type.Optional(ExemplarsSchema),
  threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: 'lowest score; default 0.5' })),
  maxInstances: Type.Optional(Type.Integer({ minimum: 1, description: 'keep the best ones only' })),
  normalized: Type.Optional(Type.Boolean({ description: 'coordinates are 0..1 of width and height' })),
  semantic: Type.Optional(Type.Boolean({ description: 'also all pixels of the concept as one mask' })),
}

const PromptSchema = Type.Object(
  { text: Type.Optional(Type.String({ description: 'a short noun phrase' })), ...settings },
  { additionalProperties: false, description: 'a text, exemplar boxes, or both' },
)

export const SegmentSchema = Type.Object(
  {
    ...images,
    text: Type.Optional(
      Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 })], {
        description: 'short noun phrases, each a prompt of its own with the settings beside it',
      }),
    ),
    prompts: Type.Optional(
      Type.Array(PromptSchema, {
        minItems: 1,
        description: 'prompts with settings of their own, which go before those beside it',
      }),
    ),
    ...settings,
    ...service,
    ...answers,
  },
  { additionalProperties: false, description: 'find every instance of what texts and boxes describe' },
)
export type SegmentInput = Static<typeof SegmentSchema>

/** Logits of a mask on their way out and back in. */
export const LogitsSchema = Type.Object(
  {
    size: Type.Integer({ minimum: 1, description: 'side of the square grid' }),
    data: Type.String({ description: 'size * size 32-bit floats, little-endian, row by row, in base64' }),
  },
  { additionalProperties: false, description: "a mask's logits" },
)

export const clicks = {
  points: Type.Optional(Type.Array(PointSchema, { description: 'clicks' })),
  labels: Type.Optional(Type.Array(LabelSchema, { description: 'one for each point; default: all positive' })),
  box: Type.Optional(BoxSchema),
  maskInput: Type.Optional(LogitsSchema),
  multimask: Type.Optional(Type.Boolean({ description: 'three masks (default), or the best one' })),
  normalized: settings.normalized,
}

export const PredictSchema = Type.Object(
  {
    image: images.image,
    ...clicks,
    prompts: Type.Optional(
      Type.Array(Type.Object(clicks, { additionalProperties: false }), {
        minItems: 1,
        description: 'several objects, each with clicks of its own, in place of the clicks beside it',
      }),
    ),
    logits: Type.Optional(Type.Boolean({ description: 'also the logits of each mask, to refine it' })),
    ...service,
    ...answers,
  },
  { additionalProperties: false, description: 'the object that clicks, a box or a mask point at' },
)
export type PredictInput = Static<typeof PredictSchema>

export const KeepSchema = Type.Object(
  { image: images.image, ...service },
  { additionalProperties: false, description: 'an image to keep' },
)

// ------------------------------------------------------------------------------------------------------ answers

export const MaskMembers = {
  area: Type.Integer({ description: 'set pixels' }),
  mask: Type.Optional(
    Type.Object(
      { size: Numbers(2, '[height, width]'), counts: Type.String() },
      { description: "COCO's compressed run lengths, as pycocotools reads them" },
    ),
  ),
  polygons: Type.Optional(
    Type.Array(Type.Object({ outline: Type.Array(PointSchema), holes: Type.Array(Type.Array(PointSchema)) }), {
      description: 'in place of `mask`, for the format polygons',
    }),
  ),
}

export const ScoreSchema = Type.Number({ minimum: 0, maximum: 1 })

export const SegmentAnswerSchema = Type.Object({
  images: Type.Array(
    Type.Object({
      width: Type.Integer(),
      height: Type.Integer(),
      results: Type.Array(
        Type.Object({
          text: Type.Optional(Type.String()),
          presence: ScoreSchema,
          semantic: Type.Optional(Type.Object(MaskMembers)),
          warnings: Type.Array(Type.String()),
          instances: Type.Array(Type.Object({ score: ScoreSchema, box: BoxSchema, ...MaskMembers })),
        }),
        { description: 'one for each prompt' },
      ),
    }),
    { description: 'in the order of the request: files first' },
  ),
})

export const PredictAnswerSchema = Type.Object({
  width: Type.Integer(),
  height: Type.Integer(),
  results: Type.Array(
    Type.Object({
      objectScore: Type.Number({ description: 'logit that there is an object at all' }),
      masks: Type.Array(
        Type.Object({
          score: Type.Number({ description: "the network's guess of the IoU with the true object" }),
          box: BoxSchema,
          ...MaskMembers,
          logits: Type.Optional(LogitsSchema),
        }),
        { description: 'best first' },
      ),
    }),
    { description: 'one for each prompt' },
  ),
})

export const KeepAnswerSchema = Type.Object({
  id: Type.String({ description: 'stands for the image in other requests: { "image": { "id": … } }' }),
  width: Type.Integer(),
  height: Type.Integer(),
})

export const ProblemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'stable, for programs; docs/errors.md lists them' }),
    fix: Type.Optional(Type.String({ description: 'what to do about it' })),
    requestId: Type.Optional(Type.String()),
  },
  { description: 'RFC 9457' },
)
