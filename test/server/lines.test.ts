/** Answers line by line: at the reader's pace, and not for ever. */
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import fastify from 'fastify'
import { afterEach, expect, it } from 'vitest'
import { sendLines } from '../../server/http/formats/ndjson.js'
import { observeRequests } from '../../server/http/observe-requests.js'
import { RunningRequests } from '../../server/http/running-requests.js'
import { Metrics } from '../../server/observe/metrics.js'

const MANY = 1000
const app = fastify()
observeRequests(app, new Metrics())
afterEach(() => app.close())

it('work waits for a reader who takes nothing, and is ended when its time is up', async () => {
  const requests = new RunningRequests(200)
  let made = 0
  let ended = false
  async function* lines() {
    try {
      while (made < MANY) yield { number: made++, text: 'x'.repeat(1_000_000) }
    } finally {
      ended = true
    }
  }
  app.get('/', (_request, reply) => requests.within(reply, ({ signal }) => sendLines(reply, lines(), signal)))
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  const [answer] = (await once(get(address), 'response')) as [IncomingMessage]
  answer.on('error', () => {}) // the service left it
  await requests.idle()
  expect(ended).toBe(true)
  expect(made).toBeGreaterThan(0)
  expect(made).toBeLessThan(MANY / 10) // what the buffers of the two sockets take
})
