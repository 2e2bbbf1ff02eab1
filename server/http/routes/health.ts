/** Whether the service is alive and takes work, for probes: `/livez`, `/readyz`, and the names that others look for. */
import Type from 'typebox'
import type { Route } from '../service.js'

const StateSchema = Type.Object({
  status: Type.String(),
  devices: Type.Optional(
    Type.Array(Type.Object({ name: Type.String(), status: Type.String() }), {
      description: 'each device, and whether it works or was lost',
    }),
  ),
})
const about = (summary: string) => ({
  config: { open: true },
  schema: {
    summary,
    tags: ['operation'],
    response: { 200: StateSchema, 503: StateSchema },
  },
})

export const healthRoute: Route = (app, { pool }) => {
  // The words of /health are those of samgeo-api.
  for (const [path, fine] of [
    ['/livez', 'alive'],
    ['/healthz', 'alive'],
    ['/health', 'ok'],
  ] as const)
    app.get(path, about('Whether the process and its devices are alive'), (_request, reply) => {
      const isAlive = pool.isAlive
      return reply.code(isAlive ? 200 : 503).send({ status: isAlive ? fine : 'device lost' })
    })
  app.get('/readyz', about('Whether it takes work'), (_request, reply) => {
    const status = pool.isAlive ? pool.state : 'device lost'
    const devices = pool.devices.map(({ name, failure }) => ({ name, status: failure ? 'lost' : 'works' }))
    return reply.code(status === 'ready' ? 200 : 503).send({ status, devices })
  })
}
