/** What the service sends for the page. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { demoService, type TestService } from '../support.js'

let services: TestService[]
beforeAll(async () => {
  services = await Promise.all([demoService({ tokens: ['secret'] }), demoService({ page: false })])
})
afterAll(() => Promise.all(services.map(({ server }) => server.close())))

const get = (url: string, index = 0, headers = {}) => services[index]!.server.app.inject({ url, headers })

it('sends the page to everyone, under rules that let in nothing from elsewhere', async () => {
  const { statusCode, headers, body } = await get('/')
  expect(statusCode).toBe(200)
  expect(headers['content-type']).toMatch(/^text\/html/)
  const sources = [...String(headers['content-security-policy']).matchAll(/(\w+)-src ([^;]+)/g)]
  // A video that was opened is played from the page itself.
  for (const [, kind, source] of sources)
    expect(kind === 'media' ? ['blob:'] : ["'none'", "'self'"], kind).toContain(source)
  expect(sources.map(([, kind]) => kind)).toContain('default')
  for (const [, address] of body.matchAll(/(?:src|href)="([^"]+)"/g)) {
    expect(address).toMatch(/^(page|docs)\//)
    const { statusCode, headers } = await get(`/${address}`)
    expect(statusCode, address).toBe(address === 'docs/' ? 401 : 200)
    if (address !== 'docs/') expect(headers['x-content-type-options']).toBe('nosniff')
  }
})

it('sends no other file', async () => {
  for (const path of ['/page/route.ts', '/page/..%2froute.ts', '/page/%2e%2e/route.ts', '/page/', '/package.json'])
    expect((await get(path, 0, { authorization: 'Bearer secret' })).statusCode, path).toBe(404)
})

it('names the words of the demo model only where it is the one that is served', async () => {
  expect((await get('/page/about.json')).json()).toEqual({ isDemo: false })
})

it('can be switched off', async () => {
  for (const path of ['/', '/page/main.js', '/page/about.json']) expect((await get(path, 1)).statusCode, path).toBe(404)
  expect((await get('/readyz', 1)).statusCode).toBe(200)
})
