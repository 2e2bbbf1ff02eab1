/** Puts the service together: the app with its routes, its limits and its answers to what goes wrong. */
import { randomUUID } from 'node:crypto'
import multipart from '@fastify/multipart'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import underPressure from '@fastify/under-pressure'
import fastify, { type FastifyInstance, type FastifyServerOptions, LogController } from 'fastify'
import { Sam3ServiceError } from 'sam3-node'
import { PROBLEM_TYPE, toRefusal, typedError } from '../base/problem.js'
import { guardAccess } from '../http/access.js'
import { roboflowRoutes } from '../http/dialects/roboflow.js'
import { samgeoRoutes } from '../http/dialects/samgeo.js'
import { observeRequests, reasonOf } from '../http/observe-requests.js'
import { healthRoute } from '../http/routes/health.js'
import { imagesRoute } from '../http/routes/images.js'
import { jobRoutes } from '../http/routes/jobs.js'
import { metricsRoute } from '../http/routes/metrics.js'
import { predictRoute } from '../http/routes/predict.js'
import { segmentRoute } from '../http/routes/segment.js'
import { sessionFramesRoute } from '../http/routes/session-frames.js'
import { sessionPromptsRoute } from '../http/routes/session-prompts.js'
import { sessionPropagateRoute } from '../http/routes/session-propagate.js'
import { sessionsRoute } from '../http/routes/sessions.js'
import type { Route, Service } from '../http/service.js'
import { pageRoute } from '../page/route.js'
import { packageVersion } from './version.js'

/** Every endpoint that is always there. */
const ROUTES: readonly Route[] = [
  segmentRoute,
  predictRoute,
  imagesRoute,
  sessionsRoute,
  sessionPromptsRoute,
  sessionFramesRoute,
  sessionPropagateRoute,
  jobRoutes,
  healthRoute,
  metricsRoute,
  pageRoute,
]

/** Endpoints of other services, for their clients. */
const DIALECTS: Readonly<Record<string, Route>> = { samgeo: samgeoRoutes, roboflow: roboflowRoutes }

/** An event loop that lags by this many milliseconds refuses work: nothing here may block it. */
const MOST_LAG = 2000
/** Milliseconds in which a request has to arrive. */
const SLOWEST = 300_000
/** Methods of the endpoints. */
const METHODS = ['GET', 'POST', 'DELETE'] as const
/** What a proxy before the service may call a request. */
const REQUEST_ID = /^[\w.:-]{1,128}$/

export async function buildApp(service: Service, logger: FastifyServerOptions['logger']): Promise<FastifyInstance> {
  const { config, metrics } = service
  const app = fastify({
    logger,
    bodyLimit: config.maxPayloadBytes,
    requestTimeout: Math.max(config.timeoutMs, SLOWEST),
    trustProxy: config.trustProxy,
    genReqId: ({ headers }) => {
      const given = headers['x-request-id']
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
    },
    // What a client sends in the path or the query does not belong in a log.
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: { maxParamLength: 128 },
  })
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer))
  observeRequests(app, metrics)
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff')
  })

  app.setErrorHandler((error, request, reply) => {
    const typed = typedError(error)
    const { problem, retryAfter } = toRefusal(typed, request.id)
    const { status } = problem
    if (status >= 500) request.log.error({ err: error }, 'failed')
    const reason = reasonOf(typed, status)
    if (reason) metrics.rejected.inc({ reason })
    const seconds = retryAfter ?? (typed.code === 'ERR_QUEUE_FULL' ? service.pool.retryAfter : undefined)
    if (seconds !== undefined) reply.header('retry-after', String(seconds))
    return reply.code(status).type(PROBLEM_TYPE).send(problem)
  })
  app.setNotFoundHandler(({ method, url }) => {
    const path = url.split('?', 1)[0]!
    const taken = METHODS.filter((other) => app.hasRoute({ method: other, url: path })).join(' or ')
    const [what, fix] = taken
      ? [`${path} takes ${taken}, not ${method}.`, `Send ${taken}; see /openapi.json.`]
      : ['There is no such endpoint.', 'See /openapi.json.']
    throw new Sam3ServiceError('ERR_NOT_FOUND', what, { fix })
  })

  await guardAccess(app, config)
  await app.register(underPressure, {
    maxEventLoopDelay: MOST_LAG,
    pressureHandler: (request) => {
      // Probes are answered all the same, and a service that is loading says that.
      if (request.method !== 'POST' || service.pool.state !== 'ready') return
      throw new Sam3ServiceError('ERR_OVERLOADED', 'The service is overloaded.', {
        fix: 'Try again later.',
        retryAfter: 5,
      })
    },
  })
  await app.register(multipart)
  app.addContentTypeParser(/^image\/|^application\/octet-stream$/, { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  )
  // As it comes: it is written to a file.
  app.addContentTypeParser(/^video\//, (_request, body, done) => done(null, body))
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'sam3-node', description: 'Segment Anything with Concepts over HTTP', version: packageVersion() },
    },
  })
  await app.register(swaggerUi, { routePrefix: '/docs' })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  await app.register(async (scope) => {
    for (const route of ROUTES) route(scope, service)
    for (const dialect of config.dialects) DIALECTS[dialect]!(scope, service)
  })
  return app
}
