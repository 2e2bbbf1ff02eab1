/** Counts, times, traces and logs every request, by the pattern of its path: what a client writes is no label. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Sam3Error } from 'sam3-node'
import { CLIENT_GONE } from '../base/problem.js'
import type { Metrics, RejectionReason } from '../observe/metrics.js'
import { beginRequest, endRequest, type RequestTrace, within } from '../observe/trace.js'

const traces = new WeakMap<FastifyRequest, RequestTrace>()

export function observeRequests(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onRequest', async (request) => {
    metrics.inProgress.inc()
    traces.set(request, beginRequest(request.headers, request.method, endpointOf(request)))
    const traceId = TRACE_PARENT.exec(String(request.headers.traceparent))?.[1]
    if (traceId) request.log = request.log.child({ traceId })
  })
  app.addHook('onResponse', async (request, reply) => {
    metrics.inProgress.dec()
    const endpoint = endpointOf(request)
    const status = reply.raw.writableEnded ? reply.statusCode : CLIENT_GONE
    metrics.requests.inc({ endpoint, status: String(status) })
    metrics.duration.observe({ endpoint }, reply.elapsedTime / 1000)
    endRequest(traces.get(request)!, status)
    request.log.info({ method: request.method, endpoint, status, ms: reply.elapsedTime }, 'answered')
  })
}

/** The id of the trace that a client's header names. */
const TRACE_PARENT = /^00-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}$/

const endpointOf = ({ routeOptions }: FastifyRequest) => routeOptions.url ?? 'none'

/** Runs the work of a request within its span. */
export function traced<T>(request: FastifyRequest, work: () => Promise<T>): Promise<T> {
  return within(traces.get(request)!, work)
}

const REASONS: Readonly<Record<string, RejectionReason>> = {
  ERR_QUEUE_FULL: 'queue_full',
  ERR_TIMEOUT: 'timeout',
  ABORT_ERR: 'cancelled',
  ERR_RATE_LIMITED: 'rate_limited',
  ERR_LIMIT_REACHED: 'limit',
  ERR_TOO_LARGE: 'limit',
  ERR_NOT_READY: 'unavailable',
  ERR_OVERLOADED: 'unavailable',
}

/** Why a request was not served; undefined where the request itself was wrong. */
export function reasonOf({ code }: Sam3Error, status: number): RejectionReason | undefined {
  return REASONS[code] ?? (status >= 500 ? 'backend' : undefined)
}
