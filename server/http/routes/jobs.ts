/** `POST /v1/jobs` for work that takes long, and what becomes of it: `GET`, `DELETE`, and events that a client can go on with. */
import { Readable } from 'node:stream'
import type { FastifySchema } from 'fastify'
import { Sam3ServiceError } from 'sam3-node'
import Type from 'typebox'
import { type JobEvent, isRead, jobEvents } from '../../jobs/job/events.js'
import { checkJob, JobId, JobSchema } from '../../jobs/job/request.js'
import { checker } from '../input/check.js'
import { PROBLEMS } from '../openapi.js'
import type { Route } from '../service.js'

/** Events are for a few who look on; each holds a connection. */
const MOST_STREAMS = 1000

const checkId = checker(Type.Object({ id: Type.Optional(JobId) }))

const JobViewSchema = Type.Object({
  id: Type.String(),
  kind: Type.String(),
  state: Type.String({ description: 'waiting, active, cancelling, completed, failed or cancelled' }),
  progress: Type.Object({ done: Type.Integer(), total: Type.Integer() }),
  attempts: Type.Integer(),
  createdAt: Type.String(),
  startedAt: Type.Optional(Type.String()),
  finishedAt: Type.Optional(Type.String()),
  result: Type.Optional(Type.Unknown()),
  error: Type.Optional(Type.Object({ code: Type.String(), detail: Type.String() })),
})

const tags = ['jobs']
const params = Type.Object({ id: Type.String({ maxLength: 128 }) })
/** The OpenAPI document says it; the routes check it themselves, with errors of ours. */
const told = (schema: Record<string, unknown>) => ({
  schema: schema as FastifySchema,
  validatorCompiler: () => () => true,
})
const json = (schema: unknown, description: string) => ({ description, content: { 'application/json': { schema } } })

export const jobRoutes: Route = (app, { jobs, jobFiles }) => {
  const streams = new Set<AbortController>()
  app.addHook('preClose', async () => {
    for (const stream of streams) stream.abort()
  })

  const found = async (id: string) => {
    const view = await jobs.get(id)
    if (view) return view
    throw new Sam3ServiceError('ERR_NOT_FOUND', 'There is no job with this id.', {
      fix: 'Ended jobs are forgotten after a while; send the job again.',
    })
  }

  const posting = {
    summary: 'Segment many images, or follow objects through a video, in the background',
    description:
      'Inputs and outputs are paths under the folders of the service, or addresses where it takes them. A job with an ' +
      'id that is known is that job: sending it twice makes one job, and one that failed is tried again.',
    tags,
    body: Type.Intersect([Type.Object({ id: Type.Optional(JobId) }), JobSchema]),
    response: { 202: json(JobViewSchema, 'the job'), ...PROBLEMS },
  }
  app.post('/v1/jobs', told(posting), async (request, reply) => {
    const { id } = checkId(request.body)
    const { id: _id, ...rest } = request.body as Record<string, unknown>
    const job = checkJob(rest)
    await jobFiles.check(job)
    const view = await jobs.add(job, id)
    return reply.code(202).header('location', `/v1/jobs/${view.id}`).send(view)
  })

  const getting = { summary: 'A job', tags, params, response: { 200: json(JobViewSchema, 'the job'), ...PROBLEMS } }
  app.get<{ Params: { id: string } }>('/v1/jobs/:id', told(getting), (request) => found(request.params.id))

  const deleting = {
    summary: 'Cancel a job, or forget one that has ended',
    description: '202: its worker was told, and GET says when it has stopped. 204: it is gone.',
    tags,
    params,
    response: { 202: json(JobViewSchema, 'it is being stopped'), 204: { description: 'it is gone' }, ...PROBLEMS },
  }
  app.delete<{ Params: { id: string } }>('/v1/jobs/:id', told(deleting), async (request, reply) => {
    const { id } = request.params
    await found(id)
    const what = await jobs.cancel(id)
    if (what !== 'cancelling') return reply.code(204).send()
    const view = await jobs.get(id)
    return view ? reply.code(202).send(view) : reply.code(204).send()
  })

  const following = {
    summary: 'What happens to a job, as server-sent events',
    description:
      'Events log, progress and state; the last one is a state that does not change any more. A client that sends the ' +
      'last id that it has read, as Last-Event-ID, goes on behind it; 204 where it has read all.',
    tags,
    params,
    headers: Type.Object({ 'last-event-id': Type.Optional(Type.String()) }),
    response: {
      200: { description: 'events', content: { 'text/event-stream': { schema: Type.String() } } },
      204: { description: 'all was read' },
      ...PROBLEMS,
    },
  }
  app.get<{ Params: { id: string } }>('/v1/jobs/:id/events', told(following), async (request, reply) => {
    const { id } = request.params
    const last = request.headers['last-event-id']
    const lastId = typeof last === 'string' ? last : undefined
    // To a browser, this says not to ask again.
    if (isRead(lastId)) return reply.code(204).send()
    await found(id)
    if (streams.size >= MOST_STREAMS) {
      throw new Sam3ServiceError('ERR_LIMIT_REACHED', `There are ${MOST_STREAMS} streams of events already.`, {
        fix: 'Ask for the job itself now and then instead.',
        retryAfter: 5,
      })
    }
    const stream = new AbortController()
    streams.add(stream)
    reply.raw.once('close', () => {
      streams.delete(stream)
      stream.abort()
    })
    const events = jobEvents(jobs, id, lastId, stream.signal)
    return reply
      .type('text/event-stream')
      .header('cache-control', 'no-store')
      .header('x-accel-buffering', 'no') // nginx would keep events back
      .send(Readable.from(texts(events, stream.signal), { objectMode: false }))
  })
}

/** Events as they are sent. A failure ends the stream: the client comes again, and goes on. */
async function* texts(events: AsyncGenerator<JobEvent | undefined>, signal: AbortSignal): AsyncGenerator<string> {
  yield 'retry: 2000\n\n'
  try {
    for await (const event of events) {
      if (event) yield `id: ${event.id}\nevent: ${event.event}\ndata: ${JSON.stringify(event.data)}\n\n`
      else yield ': still there\n\n'
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
