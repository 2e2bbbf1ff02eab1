/** Whether the service is alive and takes work, for probes: `/livez`, `/readyz`, and the names that others look for. */
import Type from 'typebox'
import type { Pool } from '../../pool/pool.js'
import type { Route } from '../service.js'

const StateSchema = Type.Object({
  status: Type.String(),
  devices: Type.Optional(
    Type.Array(Type.Object({ name: Type.String(), status: Type.String() }), {
      description: 'each device, and whether it works, was lost, or stalled: it said nothing any more',
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

const notAlive = ({ devices }: Pool) =>
  devices.some(({ state }) => state === 'stalled') ? 'device stalled' : 'device lost'

export const healthRoute: Route = (app, { pool }) => {
  // The words of /health are those of samgeo-api.
  for (const [path, fine] of [
    ['/livez', 'alive'],
    ['/healthz', 'alive'],
    ['/health', 'ok'],
  ] as const)
    app.get(path, about('Whether the process and its devices are alive'), (_request, reply) => {
      const { isAlive } = pool
      return reply.code(isAlive ? 200 : 503).send({ status: isAlive ? fine : notAlive(pool) })
    })
  app.get('/readyz', about('Whether it takes work'), (_request, reply) => {
    const status = pool.isAlive ? pool.state : notAlive(pool)
    const devices = pool.devices.map(({ name, state }) => ({ name, status: state }))
    return reply.code(status === 'ready' ? 200 : 503).send({ status, devices })
  })
}
