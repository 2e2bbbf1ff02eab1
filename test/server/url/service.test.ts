/** Addresses in requests, as clients of the service meet them; what is fetched, fetch-image.test.ts tries in a network of its own. */
import { afterEach, expect, it } from 'vitest'
import type { Server } from '../../../server/index.js'
import { rejection } from '../../support/model.js'
import { demoService } from '../support.js'

let server: Server | undefined
afterEach(() => server?.close())

it('refuses addresses as a problem of the request, and says nothing of where they lead', async () => {
  server = (await demoService({ urlHosts: ['*'] })).server
  const payload = { image: { url: 'http://localhost/secret.png' }, text: 'cup' }
  const answer = await server.app.inject({ method: 'POST', url: '/v1/segment', payload })
  expect(answer.headers['content-type']).toContain('application/problem+json')
  expect(answer.json()).toMatchObject({ status: 422, code: 'ERR_URL_REFUSED' })
  expect(answer.body).not.toMatch(/127\.0\.0\.1|::1|secret/)
})

it('refuses a list of hosts that cannot be read, before it starts', async () => {
  server = undefined
  const error = await rejection(demoService({ urlHosts: ['https://example.com/'] }))
  expect(error).toMatchObject({
    code: 'ERR_INVALID_ARGUMENT',
    message: expect.stringContaining('https://example.com/'),
  })
})
