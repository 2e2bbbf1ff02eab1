/** A page of another site, in a real browser on the machine of the service. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { without } from '../../support/without.js'
import { findWords, openExample, textOf, type Visit, visit } from './browser.js'

describe.skipIf(without('chromium'))('a page of another site', () => {
  let tour: Visit
  let site: Server
  beforeAll(async () => {
    tour = await visit()
    site = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<p>Hello'))
    await once(site.listen(0, '127.0.0.1'), 'listening')
  })
  afterAll(async () => {
    site.close()
    await tour.close()
  })

  const answered = async () => {
    const { body } = await tour.server.app.inject({ url: '/metrics' })
    return body.split('\n').filter((line) => line.startsWith('sam3_requests_total{endpoint="/v1/segment"'))
  }

  it('has its requests refused, which a browser sends without asking', async () => {
    const page = await tour.browser.newPage()
    const { port } = site.address() as AddressInfo
    for (const host of ['127.0.0.1', 'localhost']) {
      await page.goto(`http://${host}:${port}`)
      const type = await page.evaluate(async (url) => {
        const body = new FormData()
        body.append('text', 'cup')
        return (await fetch(url, { method: 'POST', body, mode: 'no-cors' })).type
      }, `${tour.server.address}/v1/segment`)
      expect(type).toBe('opaque')
    }
    expect(await answered()).toEqual(['sam3_requests_total{endpoint="/v1/segment",status="403"} 2'])
    await page.close()
  })

  it('cannot make a name of its own lead here', async () => {
    const page = await tour.browser.newPage()
    // To the browser the page and the service are of the same origin.
    await page.goto(`http://evil.example:${new URL(tour.server.address).port}`)
    const ask = (path: string, method: string) =>
      page.evaluate(async (path, method) => (await fetch(path, { method })).status, path, method)
    expect([await ask('/v1/segment', 'POST'), await ask('/metrics', 'GET')]).toEqual([403, 403])
    await page.close()
  })

  it('does not take the own page its work', async () => {
    const page = await tour.open()
    await openExample(page)
    await findWords(page, 'cup')
    expect(await textOf(page, '#results-title')).toMatch(/^\d found$/)
    expect(tour.complaints).toEqual([])
  })
})
