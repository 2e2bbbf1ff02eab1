/** Images that stay on the device between requests. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inside, scene } from '../support/demo.js'
import { demoService, form, picture, type TestService } from './support.js'

let service: TestService
beforeAll(async () => {
  // Room for two.
  service = await demoService({}, ({ featureBytes }) => ({ imageCacheBytes: 2.5 * featureBytes }))
})
afterAll(() => service.server.close())

const call = (method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object) =>
  service.server.app.inject({ method, url, payload })

async function keep(): Promise<string> {
  const answer = await service.server.app.inject({ method: 'POST', url: '/v1/images', ...form(['image', picture]) })
  expect(answer.statusCode).toBe(201)
  const { id, ...size } = answer.json() as { id: string; width: number; height: number }
  expect(answer.headers.location).toBe(`/v1/images/${id}`)
  expect(size).toEqual({ width: 672, height: 672 })
  return id
}

const cup = scene.objects[0]!
const ask = (id: string, more: object = {}) => call('POST', '/v1/segment', { image: { id }, text: cup.shows, ...more })

describe('a kept image', () => {
  it('is answered like the image itself, for texts and for clicks, without being encoded again', async () => {
    const id = await keep()
    const whole = { image: picture.toString('base64') }
    const text = { text: cup.shows }
    const click = { points: [inside(cup.mask)] }
    for (const [url, prompt] of [
      ['/v1/segment', text],
      ['/v1/predict', click],
    ] as const) {
      const [kept, sent] = [
        await call('POST', url, { image: { id }, ...prompt }),
        await call('POST', url, { ...whole, ...prompt }),
      ]
      expect(kept.statusCode).toBe(200)
      expect(kept.json()).toEqual(sent.json())
    }
    expect((await ask(id, { format: 'labels' })).headers['content-type']).toBe('image/png')
    expect((await ask(id, { format: 'overlay' })).json()).toMatchObject({ status: 406 })
    expect((await call('DELETE', `/v1/images/${id}`)).statusCode).toBe(204)
  })

  it('is gone after DELETE, also from the device', async () => {
    const id = await keep()
    expect((await call('DELETE', `/v1/images/${id}`)).statusCode).toBe(204)
    expect((await call('DELETE', `/v1/images/${id}`)).statusCode).toBe(404)
    const answer = await ask(id)
    expect(answer.json()).toMatchObject({
      status: 404,
      code: 'ERR_NOT_FOUND',
      fix: 'Send it again with POST /v1/images.',
    })
    await ask(await keep()) // the engine counts what is left with the next call
    expect(service.model.stats().images).toBeLessThanOrEqual(2)
  })

  it('makes room for others when it was used longest ago, but not while it is asked', async () => {
    const [first, second] = [await keep(), await keep()]
    await ask(first)
    const asked = ask(second)
    const third = await keep()
    expect((await asked).statusCode).toBe(200)
    expect((await ask(third)).statusCode).toBe(200)
    const left = [(await ask(first)).statusCode, (await ask(second)).statusCode]
    expect(left.toSorted()).toEqual([200, 404])
    const { body } = await call('GET', '/metrics')
    expect(body).toMatch(/^sam3_cache_requests_total\{cache="images",outcome="miss"\} [2-9]/m)
    expect(body).toMatch(/^sam3_cache_bytes\{cache="images"\} \d{6,}$/m)
  })
})

it('is refused where none are kept', async () => {
  const { server } = await demoService({ imageCacheBytes: 0 })
  const answer = await server.app.inject({ method: 'POST', url: '/v1/images', ...form(['image', picture]) })
  expect(answer.json()).toMatchObject({ status: 413, code: 'ERR_TOO_LARGE' })
  await server.close()
})
