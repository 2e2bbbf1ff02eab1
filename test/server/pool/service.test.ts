/** Several devices and clients, as the service has them. */
import { afterEach, expect, it } from 'vitest'
import { startServer, type StartedServer } from '../../../server/index.js'
import { form, picture } from '../support.js'

let server: StartedServer
afterEach(() => server.close())

const ask = { method: 'POST', url: '/v1/segment', ...form(['text', 'cup'], ['image', picture]) } as const

it('has a model on each device, and serves a client beside one who sends fifty requests', async () => {
  const options = { model: 'demo', devices: ['cpu', 'cpu'], threads: 1, maxBatchSize: 2, port: 0 }
  server = await startServer(options, { logger: false })
  await server.ready
  const ready = await server.app.inject({ url: '/readyz' })
  const devices = ['cpu', 'cpu (2)'].map((name) => ({ name, status: 'works' }))
  expect(ready.json()).toEqual({ status: 'ready', devices })
  let done = 0
  const greedy = Array.from({ length: 50 }, async () => {
    const { statusCode } = await server.app.inject({ ...ask, remoteAddress: '10.0.0.1' })
    done++
    return statusCode
  })
  const modest = await server.app.inject({ ...ask, remoteAddress: '10.0.0.2' })
  expect(modest.statusCode).toBe(200)
  // At most what the devices had in hand, and the turns of the greedy client, went first.
  expect(done).toBeLessThan(25)
  expect(await Promise.all(greedy)).toEqual(greedy.map(() => 200))
})
