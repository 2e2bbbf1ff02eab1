/** Pages of other sites, in the browser of somebody who can reach the service. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ServeOptions } from '../../server/index.js'
import { demoService, form, picture, type TestService } from './support.js'

type Headers = Record<string, string>
const ask = form(['text', 'cup'], ['image', picture])

function over(options: ServeOptions): {
  status: (headers: Headers, url?: string) => Promise<number>
  made: () => TestService
} {
  let made: TestService
  beforeAll(async () => {
    made = await demoService(options)
  })
  afterAll(() => made.server.close())
  const status = async (headers: Headers, url?: string) => {
    const request = url ? ({ method: 'GET', url } as const) : ({ method: 'POST', url: '/v1/segment', ...ask } as const)
    const own = url ? {} : ask.headers
    return (await made.server.app.inject({ ...request, headers: { ...own, ...headers } })).statusCode
  }
  return { status, made: () => made }
}

describe('at a loopback address, without tokens', () => {
  const { status, made } = over({ jobRoots: ['.'], trustProxy: true })

  it.each([
    ['a program', {}],
    ['the own page', { 'sec-fetch-site': 'same-origin', origin: 'http://localhost:80' }],
    ['what its user typed', { 'sec-fetch-site': 'none' }],
    ['the own page in an older browser', { host: 'LocalHost:8080', origin: 'http://localhost:8080' }],
    ['an address of this machine', { host: '127.0.0.1:8080' }],
    ['another one', { host: '127.1.2.3' }],
    ['IPv6', { host: '[::1]:8080', origin: 'http://[::1]:8080' }],
    ['IPv4 within IPv6', { host: '[::ffff:127.0.0.1]' }],
    ['a name of this machine', { host: 'sam3.localhost:8080' }],
  ])('answers %s', async (_who, headers: Headers) => {
    expect(await status(headers)).toBe(200)
  })

  it.each([
    ['a page of another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
    ['one of another port', { 'sec-fetch-site': 'same-site', origin: 'http://localhost:3000' }],
    ['one that lies in Origin', { 'sec-fetch-site': 'cross-site', origin: 'http://localhost:80' }],
    ['one in an older browser', { origin: 'https://evil.example' }],
    ['one of another port in an older browser', { host: 'localhost:8080', origin: 'http://localhost:3000' }],
    ['one without an origin', { origin: 'null' }],
    ['a name that was made to lead here', { host: 'evil.example:8080', origin: 'http://evil.example:8080' }],
    ['a name that looks like ours', { host: 'localhost.evil.example' }],
    ['an address that is not ours', { host: '192.168.0.7:8080' }],
    ['no name at all', { host: 'a b' }],
    ['a name behind that of a proxy', { host: 'evil.example', 'x-forwarded-host': 'localhost' }],
  ])('refuses %s', async (_who, headers: Headers) => {
    expect(await status(headers)).toBe(403)
  })

  it('refuses such a name whatever it asks for, but for probes; links lead here', async () => {
    const rebound = { host: 'evil.example' }
    expect(await status(rebound, '/metrics')).toBe(403)
    expect(await status(rebound, '/v1/jobs/1')).toBe(403)
    expect(await status(rebound, '/readyz')).toBe(200)
    expect(await status({ 'sec-fetch-site': 'cross-site' }, '/docs/')).toBe(200)
  })

  it('says why, and begins nothing', async () => {
    const payload = { kind: 'segment', images: ['x.jpg'], texts: ['cup'], outputs: { coco: 'x.json' } }
    const headers = { 'sec-fetch-site': 'cross-site' }
    const answer = await made().server.app.inject({ method: 'POST', url: '/v1/jobs', payload, headers })
    expect(answer.json()).toMatchObject({ status: 403, code: 'ERR_FORBIDDEN', title: 'Forbidden' })
  })
})

describe('with names that are allowed', () => {
  const { status } = over({ host: '0.0.0.0', allowedHosts: ['Sam3.example'] })
  it('answers those and this machine', async () => {
    expect(await status({ host: 'sam3.example' })).toBe(200)
    expect(await status({ host: 'localhost' })).toBe(200)
    expect(await status({ host: 'evil.example' })).toBe(403)
  })
})

describe('at another address, without names', () => {
  const { status } = over({ host: '0.0.0.0' })
  it('answers any name, but no page of another site', async () => {
    expect(await status({ host: 'sam3.example' })).toBe(200)
    expect(await status({ host: 'sam3.example', origin: 'http://sam3.example' })).toBe(200)
    expect(await status({ host: 'sam3.example', origin: 'http://evil.example' })).toBe(403)
  })
})

describe('with tokens', () => {
  const { status } = over({ tokens: ['open-sesame'] })
  it('asks for one, from wherever it comes: no browser sends it by itself', async () => {
    const headers = { host: 'sam3.example', origin: 'http://app.example', 'sec-fetch-site': 'cross-site' }
    expect(await status(headers)).toBe(401)
    expect(await status({ ...headers, authorization: 'Bearer open-sesame' })).toBe(200)
  })
})
