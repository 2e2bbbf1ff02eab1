/** What a job is asked for: one schema for the HTTP interface, for the queue, and for what other programs put into it. */
import { Sam3ServiceError } from 'sam3-node'
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'

/** Most images or folders that one job names; a folder counts once, whatever is in it. */
const MOST_NAMES = 10_000
const LONGEST_NAME = 4096

const Place = (description: string) => Type.String({ description, minLength: 1, maxLength: LONGEST_NAME })
const Coordinates = Type.Array(Type.Number(), { minItems: 4, maxItems: 4 })
const Texts = Type.Array(Type.String({ minLength: 1, maxLength: 1000 }), {
  description: 'Short noun phrases.',
  minItems: 1,
  maxItems: 64,
})
const Label = Type.Union([Type.Literal('positive'), Type.Literal('negative')])

const SegmentSchema = Type.Object(
  {
    kind: Type.Literal('segment'),
    images: Type.Array(Place('An image or a folder of images under the folders of the service, or an address.'), {
      minItems: 1,
      maxItems: MOST_NAMES,
    }),
    texts: Type.Optional(Texts),
    boxes: Type.Optional(
      Type.Array(Type.Object({ box: Coordinates, label: Type.Optional(Label) }, { additionalProperties: false }), {
        description: 'Exemplars, [x0, y0, x1, y1].',
        minItems: 1,
        maxItems: 64,
      }),
    ),
    normalized: Type.Optional(Type.Boolean({ description: 'Boxes are 0..1 of width and height.' })),
    threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    maxInstances: Type.Optional(Type.Integer({ minimum: 1 })),
    outputs: Type.Object(
      { coco: Place('COCO JSON: a file under the folders of the service, or an address that takes a PUT.') },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false, description: 'Segments a list or folders of images into one COCO data set.' },
)

const ObjectSchema = Type.Object(
  {
    frameIndex: Type.Integer({ minimum: 0 }),
    objectId: Type.Integer({ minimum: 0 }),
    points: Type.Optional(
      Type.Array(Type.Array(Type.Number(), { minItems: 2, maxItems: 2 }), { minItems: 1, maxItems: 256 }),
    ),
    labels: Type.Optional(Type.Array(Type.Union([Type.Literal(0), Type.Literal(1)]), { maxItems: 256 })),
    box: Type.Optional(Coordinates),
    normalized: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)

const TrackSchema = Type.Object(
  {
    kind: Type.Literal('track'),
    video: Place('A video or a folder of frames under the folders of the service, or an address of a video.'),
    texts: Type.Optional(Texts),
    objects: Type.Optional(
      Type.Array(ObjectSchema, { description: 'Clicks and boxes on objects.', minItems: 1, maxItems: 256 }),
    ),
    startFrame: Type.Optional(Type.Integer({ minimum: 0 })),
    maxFrames: Type.Optional(Type.Integer({ minimum: 1 })),
    outputs: Type.Object(
      {
        coco: Type.Optional(Place('COCO JSON for videos (YouTube-VIS).')),
        mot: Type.Optional(Place('Text of the MOT challenge.')),
        video: Type.Optional(Place('The video with what was found drawn over it.')),
      },
      { additionalProperties: false, minProperties: 1 },
    ),
  },
  { additionalProperties: false, description: 'Follows objects through a video.' },
)

/** Any job. */
export const JobSchema = Type.Union([SegmentSchema, TrackSchema])
/** The name that a client may choose for a job: the same name is the same job. */
export const JobId = Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_-]{0,63}$' })

export type SegmentJob = Static<typeof SegmentSchema>
export type TrackJob = Static<typeof TrackSchema>
export type JobRequest = Static<typeof JobSchema>

const checkers = { segment: Compile(SegmentSchema), track: Compile(TrackSchema) }

/**
 * Checks what came from outside: a client, or a queue that others write to as well.
 * @throws Sam3ServiceError `ERR_BAD_REQUEST`
 */
export function checkJob(value: unknown): JobRequest {
  const kind = (value as { kind?: unknown } | null)?.kind
  if (kind !== 'segment' && kind !== 'track') throw bad("its kind is neither 'segment' nor 'track'")
  const checker = checkers[kind]
  if (!checker.Check(value)) {
    const [error] = checker.Errors(value)
    const why = error?.keyword === 'boolean' ? 'is not known' : error?.message
    throw bad(`${error?.instancePath || 'it'} ${why}`)
  }
  const job = value as JobRequest
  if (job.kind === 'segment' && !job.texts && !job.boxes) throw bad('it has neither texts nor boxes')
  if (job.kind === 'track' && !job.texts && !job.objects) throw bad('it has neither texts nor objects')
  return job
}

function bad(why: string): Sam3ServiceError {
  return new Sam3ServiceError('ERR_BAD_REQUEST', `The job cannot be understood: ${why}.`, {
    fix: 'GET /openapi.json describes jobs.',
  })
}

/** All places that a job reads. */
export function inputsOf(job: JobRequest): string[] {
  return job.kind === 'segment' ? job.images : [job.video]
}

/** All places that a job writes, by the name of what is written. */
export function outputsOf(job: JobRequest): [name: string, place: string][] {
  return Object.entries(job.outputs).filter((entry): entry is [string, string] => entry[1] !== undefined)
}

/** Whether a place is an address. */
export function isAddress(place: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(place)
}

/** A place as it may be shown: what signs an address lets whoever reads it in. */
export function shownPlace(place: string): string {
  if (!isAddress(place) || !URL.canParse(place)) return place
  const { protocol, host, pathname } = new URL(place)
  return `${protocol}//${host}${pathname}`
}
