/** What requests about video sessions hold. */
import Type, { type Static } from 'typebox'
import { BoxSchema, clicks, ExemplarsSchema, MaskMembers, Numbers, ScoreSchema } from './schemas.js'

const strict = { additionalProperties: false } as const
const Side = Type.Integer({ minimum: 1, maximum: 65_535 })

export const StartSchema = Type.Object(
  {
    live: Type.Optional(
      Type.Object(
        {
          width: Side,
          height: Side,
          maxBuffered: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 64, description: 'frames that may wait; default 2' }),
          ),
          overflow: Type.Optional(
            Type.Union([Type.Literal('drop-oldest'), Type.Literal('block')], {
              description: 'without room: let the oldest frame go (default), or let the sender wait',
            }),
          ),
        },
        { ...strict, description: 'frames will be pushed; in place of a video' },
      ),
    ),
    history: Type.Optional(
      Type.Union([Type.Literal('bounded'), Type.Literal('full')], {
        description: 'full: frames that have passed can be prompted again, and propagation can go backward',
      }),
    ),
    frameRate: Type.Optional(Type.Number({ exclusiveMinimum: 0, description: 'of pushed frames; default 30' })),
    hotstartDelay: Type.Optional(
      Type.Integer({ minimum: 0, description: 'frames by which results of texts are held back; default 15, live 0' }),
    ),
    maxNumObjects: Type.Optional(Type.Integer({ minimum: 1, description: 'most objects of a prompt' })),
    scoreThresholdDetection: Type.Optional(ScoreSchema),
    newDetThresh: Type.Optional(ScoreSchema),
  },
  { ...strict, description: 'a video as the file "video" or as the body, or frames that will be pushed' },
)
export type StartInput = Static<typeof StartSchema>

const formats = {
  format: Type.Optional(Type.Union([Type.Literal('rle'), Type.Literal('polygons')], { description: 'default rle' })),
  tolerance: Type.Optional(Type.Number({ minimum: 0, description: 'of polygons, in pixels' })),
}

export const VideoPromptSchema = Type.Object(
  {
    frameIndex: Type.Integer({ minimum: 0 }),
    text: Type.Optional(Type.String({ description: 'find every such object and follow it' })),
    boxes: Type.Optional(ExemplarsSchema),
    objectId: Type.Optional(Type.Integer({ minimum: 0, description: 'with clicks, a box or a mask: whose they are' })),
    points: clicks.points,
    labels: clicks.labels,
    box: clicks.box,
    clearOldPoints: Type.Optional(Type.Boolean({ description: 'forget earlier clicks on it; default true' })),
    mask: Type.Optional(
      Type.Object(
        { size: Numbers(2, '[height, width]'), counts: Type.String() },
        { ...strict, description: "the object's mask, as COCO's run lengths" },
      ),
    ),
    normalized: clicks.normalized,
    ...formats,
  },
  { ...strict, description: 'a text or an exemplar box; or clicks, a box or a mask of one object' },
)
export type VideoPromptInput = Static<typeof VideoPromptSchema>

export const PropagateSchema = Type.Object(
  {
    direction: Type.Optional(
      Type.Union([Type.Literal('forward'), Type.Literal('backward'), Type.Literal('both')], {
        description: 'default forward; the others need a full history',
      }),
    ),
    startFrame: Type.Optional(Type.Integer({ minimum: 0 })),
    maxFrames: Type.Optional(Type.Integer({ minimum: 1, description: 'most frames in each direction' })),
    ...formats,
  },
  { ...strict, description: 'follow the objects, frame by frame' },
)

// ------------------------------------------------------------------------------------------------------ answers

export const SessionSchema = Type.Object({
  id: Type.String(),
  width: Type.Integer(),
  height: Type.Integer(),
  frameCount: Type.Optional(Type.Integer({ description: 'absent where it is not known' })),
  frameRate: Type.Optional(Type.Number()),
})

export const FrameSchema = Type.Object(
  {
    frameIndex: Type.Integer(),
    timestamp: Type.Number({ description: 'seconds' }),
    width: Type.Integer(),
    height: Type.Integer(),
    tracked: Type.Integer({ description: 'objects that are followed, also those not seen here' }),
    dropped: Type.Integer(),
    promptIndex: Type.Optional(Type.Integer({ description: 'of a text: names it' })),
    warnings: Type.Optional(Type.Array(Type.String())),
    objects: Type.Array(
      Type.Object({
        id: Type.Integer(),
        prompt: Type.Optional(Type.String()),
        promptIndex: Type.Optional(Type.Integer()),
        score: ScoreSchema,
        trackerScore: ScoreSchema,
        box: BoxSchema,
        ...MaskMembers,
      }),
    ),
  },
  { description: 'the objects of one frame' },
)

export const SessionParams = Type.Object({ id: Type.String() })
