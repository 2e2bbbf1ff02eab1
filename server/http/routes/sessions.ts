/** `POST /v1/sessions`: opens a video, or frames that will be pushed; `DELETE` closes it. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  PushSource,
  Sam3Error,
  Sam3ModelError,
  Sam3ServiceError,
  Sam3VideoModel,
  type SessionOptions,
  type VideoInput,
} from 'sam3-node'
import Type from 'typebox'
import type { OpenSession } from '../../pool/sessions.js'
import { checker } from '../input/check.js'
import { receiveVideo } from '../input/video.js'
import { describeVideo, PROBLEMS } from '../openapi.js'
import type { Running } from '../running-requests.js'
import type { Route, Service } from '../service.js'
import { SessionParams, SessionSchema, type StartInput, StartSchema } from '../session-schemas.js'

const check = checker(StartSchema)

/** A video takes longer to arrive than an image, in milliseconds. */
const UPLOAD = 300_000

export const sessionsRoute: Route = (app, service) => {
  const longest = Math.max(UPLOAD, service.config.timeoutMs)
  app.post('/v1/sessions', describeVideo(StartSchema, ABOUT), (request, reply) => {
    service.pool.checkRoom()
    return service.requests.within(reply, (running) => start(request, reply, running, service), longest)
  })
  const schema = {
    summary: 'Close a video session',
    tags: ['videos'],
    params: SessionParams,
    response: { 204: Type.Null({ description: 'done' }), ...PROBLEMS },
  }
  app.delete<{ Params: { id: string } }>('/v1/sessions/:id', { schema }, async (request, reply) => {
    await service.sessions.close(request.params.id)
    return reply.code(204).send()
  })
}

async function start(
  request: FastifyRequest,
  reply: FastifyReply,
  { signal }: Running,
  service: Service,
): Promise<FastifyReply> {
  const { id, opened } = await service.sessions.add(() => open(request, signal, service))
  const { width, height, frameCount, frameRate } = opened.session
  return reply.code(201).header('location', `/v1/sessions/${id}`).send({ id, width, height, frameCount, frameRate })
}

async function open(request: FastifyRequest, signal: AbortSignal, service: Service): Promise<OpenSession> {
  const isFile = request.isMultipart() || request.headers['content-type']?.startsWith('video/')
  if (!isFile) return openLive(check(request.body), request, signal, service)
  const { path, fields, remove } = await receiveVideo(request, service.config.maxVideoBytes)
  try {
    const { live, ...options } = check(fields)
    if (live) {
      throw new Sam3ServiceError('ERR_BAD_REQUEST', 'The request has both a video and "live".', {
        fix: 'Send one of the two.',
      })
    }
    const { session, model } = await startSession(path, options, request, signal, service)
    return { session, model, pushed: undefined, cleanUp: remove }
  } catch (error) {
    await remove()
    throw withoutPath(error, path)
  }
}

/** What the library says names the file that it was given; nobody but us knows that one. */
function withoutPath(error: unknown, path: string): unknown {
  if (error instanceof Sam3Error) error.message = error.message.replaceAll(path, 'that was sent')
  return error
}

async function openLive(
  { live, ...options }: StartInput,
  request: FastifyRequest,
  signal: AbortSignal,
  service: Service,
): Promise<OpenSession> {
  if (!live) {
    throw new Sam3ServiceError('ERR_BAD_REQUEST', 'The request has neither a video nor "live".', {
      fix: 'Send a file "video", a video as the body, or { "live": { "width": …, "height": … } }.',
    })
  }
  const { session, model } = await startSession(new PushSource(live), options, request, signal, service)
  return { session, model, pushed: 0, cleanUp: async () => {} }
}

async function startSession(
  video: VideoInput,
  options: Omit<StartInput, 'live'>,
  { client }: FastifyRequest,
  signal: AbortSignal,
  { pool, config }: Service,
): Promise<Pick<OpenSession, 'session' | 'model'>> {
  const { maxPixels, maxFrames, sessionMemoryBytes: memoryLimit } = config
  const started = await pool.run({ client, signal }, async (model) => {
    if (!(model instanceof Sam3VideoModel)) {
      throw new Sam3ModelError('ERR_NO_TRACKER', 'The model of this service follows no objects through videos.', {
        fix: 'Use a service whose weights have the tracker.',
      })
    }
    return { session: await model.startSession(video, { ...(options as SessionOptions), memoryLimit, signal }), model }
  })
  const { width, height, frameCount = 0 } = started.session
  if (width * height <= maxPixels && frameCount <= maxFrames) return started
  await started.session.close()
  throw new Sam3ServiceError(
    'ERR_TOO_LARGE',
    `The video has ${frameCount} frames of ${width} x ${height} pixels; at most ${maxFrames} of ${maxPixels} pixels are taken.`,
    { fix: 'Cut it, or scale it down.' },
  )
}

const ABOUT = {
  summary: 'Open a video, to follow objects through it',
  description:
    'The file "video" of a form, or the body; or "live", for frames that will be pushed. A session that is not used for a ' +
    'while is closed.',
  tags: ['videos'],
  response: SessionSchema,
}
