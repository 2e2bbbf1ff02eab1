/** Counts and times every request, by the pattern of its path: what a client writes is no label. */
import type { FastifyInstance } from 'fastify'
import type { Sam3Error } from 'sam3-node'
import { CLIENT_GONE } from '../base/problem.js'
import type { RejectionReason } from '../observe/metrics.js'
import type { Service } from './service.js'

export function observeRequests(app: FastifyInstance, { metrics }: Service): void {
  app.addHook('onRequest', async () => metrics.inProgress.inc())
  app.addHook('onResponse', async (request, reply) => {
    metrics.inProgress.dec()
    const endpoint = request.routeOptions.url ?? 'none'
    const status = reply.raw.writableFinished ? reply.statusCode : CLIENT_GONE
    metrics.requests.inc({ endpoint, status: String(status) })
    metrics.duration.observe({ endpoint }, reply.elapsedTime / 1000)
  })
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
