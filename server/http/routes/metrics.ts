/** `GET /metrics`, for Prometheus. */
import type { Route } from '../service.js'

export const metricsRoute: Route = (app, { metrics, pool }) => {
  const schema = { summary: 'Metrics for Prometheus', tags: ['operation'] }
  app.get('/metrics', { schema }, async (_request, reply) => {
    pool.observe()
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics())
  })
}
