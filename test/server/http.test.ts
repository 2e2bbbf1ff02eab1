/** The two questions over HTTP: every form of request and answer, with the demo model. */
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CocoRle, Mask } from '../../lib/index.js'
import type { Server } from '../../server/index.js'
import { inside, iou, scene } from '../support/demo.js'
import { demoService, form, type Part, picture } from './support.js'

let server: Server
beforeAll(async () => {
  server = (await demoService({ maxPixels: 1_000_000, maxPrompts: 3, maxImages: 2, maxPayloadBytes: 3_000_000 })).server
})
afterAll(() => server.close())

const cup = scene.objects.find(({ shows }) => shows === 'cup') ?? scene.objects[0]!
const base64 = picture.toString('base64')

const post = (url: string, payload: object) => server.app.inject({ method: 'POST', url, payload })
const postForm = (url: string, ...parts: Part[]) => server.app.inject({ method: 'POST', url, ...form(...parts) })
const postImage = (url: string, headers: Record<string, string> = {}) =>
  server.app.inject({ method: 'POST', url, payload: picture, headers: { 'content-type': 'image/jpeg', ...headers } })

interface FoundMask {
  area: number
  mask: CocoRle
}
/** The best mask of the first prompt on the first image. */
const best = (answer: { json(): unknown }): Mask => {
  const [{ results }] = (answer.json() as { images: [{ results: { instances: FoundMask[] }[] }] }).images
  return Mask.fromRle(results[0]!.instances[0]!.mask)
}

describe('POST /v1/segment', () => {
  const ways = {
    'JSON with base64': () => post('/v1/segment', { image: base64, text: cup.shows }),
    'JSON with a data: address': () =>
      post('/v1/segment', { image: `data:image/jpeg;base64,${base64}`, text: [cup.shows] }),
    'a form, the file last': () => postForm('/v1/segment', ['text', cup.shows], ['image', picture]),
    'a form, the file first': () => postForm('/v1/segment', ['image', picture], ['text', cup.shows]),
    'a form with prompts as JSON': () =>
      postForm('/v1/segment', ['prompts', JSON.stringify([{ text: cup.shows }])], ['image', picture]),
    'the image as the body': () => postImage(`/v1/segment?text=${cup.shows}`),
  }
  it.each(Object.entries(ways))('finds what is there: %s', async (_way, ask) => {
    const answer = await ask()
    expect(answer.statusCode).toBe(200)
    expect(iou(best(answer), cup.mask)).toBeGreaterThan(0.8)
  })

  it('answers several prompts on several images, in their order', async () => {
    const threshold = '0.4'
    const other = scene.objects.find(({ shows }) => shows !== cup.shows)!
    const answer = await postForm(
      '/v1/segment',
      ['text', other.shows],
      ['image', picture],
      ['image', await sharp(picture).resize(300, 200, { fit: 'fill' }).png().toBuffer()],
      ['text', cup.shows],
      ['threshold', threshold],
    )
    const { images } = answer.json() as { images: { width: number; results: { text: string }[] }[] }
    expect(images.map(({ width }) => width)).toEqual([672, 300])
    for (const { results } of images) expect(results.map(({ text }) => text)).toEqual([other.shows, cup.shows])
  })

  it('answers exemplar boxes without a text', async () => {
    const answer = await post('/v1/segment', { image: base64, boxes: [{ box: cup.mask.box, label: 'positive' }] })
    const { images } = answer.json() as { images: [{ results: [{ text?: string; instances: FoundMask[] }] }] }
    const [{ text, instances }] = images[0].results
    expect(text).toBeUndefined()
    expect(Math.max(...instances.map(({ mask }) => iou(Mask.fromRle(mask), cup.mask)))).toBeGreaterThan(0.8)
  })

  it('gives polygons of the same area, an overlay and labels', async () => {
    const exact = best(await postImage(`/v1/segment?text=${cup.shows}`))
    const polygons = (await postImage(`/v1/segment?text=${cup.shows}&format=polygons`)).json() as {
      images: [{ results: [{ instances: [{ area: number; polygons: { outline: unknown[] }[] }] }] }]
    }
    const [instance] = polygons.images[0].results[0].instances
    expect(instance.area).toBe(exact.area)
    expect(instance.polygons[0]!.outline.length).toBeGreaterThan(4)

    const overlay = await postImage(`/v1/segment?text=${cup.shows}`, { accept: 'image/png' })
    expect(overlay.headers['content-type']).toBe('image/png')
    expect(await sharp(overlay.rawPayload).metadata()).toMatchObject({ format: 'png', width: 672, height: 672 })

    const labels = await postImage(`/v1/segment?text=${cup.shows}&format=labels&maxInstances=1`)
    const data = await sharp(labels.rawPayload).toColourspace('b-w').raw().toBuffer()
    expect(data.length).toBe(672 * 672)
    expect(data.filter((value) => value === 1).length).toBe(exact.area)
  })

  it('gives a line for each result and each instance', async () => {
    const answer = await postImage(`/v1/segment?text=${cup.shows}&text=zebra`, { accept: 'application/x-ndjson' })
    const lines = answer.body
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; prompt: number; count?: number })
    const heads = lines.filter(({ type }) => type === 'result')
    expect(heads.map(({ prompt }) => prompt)).toEqual([0, 1])
    expect(lines.filter(({ type }) => type === 'instance')).toHaveLength(heads[0]!.count! + heads[1]!.count!)
  })
})

describe('POST /v1/predict', () => {
  const points = [inside(cup.mask)]
  it('segments what a click points at, and refines it', async () => {
    const first = await postForm(
      '/v1/predict',
      ['image', picture],
      ['points', JSON.stringify(points)],
      ['logits', 'true'],
    )
    expect(first.statusCode).toBe(200)
    const { results } = first.json() as { results: [{ masks: (FoundMask & { score: number; logits: object })[] }] }
    const { masks } = results[0]
    expect(masks).toHaveLength(3)
    expect(masks.map(({ score }) => score)).toEqual(masks.map(({ score }) => score).toSorted((a, b) => b - a))
    const asked = { image: base64, points, maskInput: masks[0]!.logits, multimask: false }
    const refined = (await post('/v1/predict', asked)).json() as { results: [{ masks: FoundMask[] }] }
    expect(refined.results[0].masks).toHaveLength(1)
    expect(iou(Mask.fromRle(refined.results[0].masks[0]!.mask), cup.mask)).toBeGreaterThan(0.7)
  })

  it('answers several prompts', async () => {
    const prompts = [{ points }, { box: cup.mask.box, multimask: false }]
    const answer = (await post('/v1/predict', { image: base64, prompts })).json() as { results: { masks: object[] }[] }
    expect(answer.results.map(({ masks }) => masks.length)).toEqual([3, 1])
  })
})

describe('what cannot be answered', () => {
  const text = 'cup'
  const large = () =>
    sharp({ create: { width: 1500, height: 1000, channels: 3, background: 'red' } })
      .png()
      .toBuffer()
  const cases: [string, number, string, () => Promise<{ statusCode: number; json(): unknown }>][] = [
    ['no body', 400, 'ERR_BAD_REQUEST', () => server.app.inject({ method: 'POST', url: '/v1/segment' })],
    [
      'broken JSON',
      400,
      'ERR_BAD_REQUEST',
      () =>
        server.app.inject({
          method: 'POST',
          url: '/v1/segment',
          payload: '{',
          headers: { 'content-type': 'application/json' },
        }),
    ],
    [
      'a form that breaks off',
      400,
      'ERR_BAD_REQUEST',
      () => {
        const { payload, headers } = form(['text', text], ['image', picture])
        const cut = payload.subarray(0, payload.length - 40)
        return server.app.inject({ method: 'POST', url: '/v1/segment', payload: cut, headers })
      },
    ],
    ['an image of no bytes', 422, 'ERR_INVALID_IMAGE', () => post('/v1/segment', { image: '', text })],
    [
      'an image of no bytes in a form',
      422,
      'ERR_INVALID_IMAGE',
      () => postForm('/v1/segment', ['image', Buffer.alloc(0)], ['text', text]),
    ],
    ['no image', 400, 'ERR_BAD_REQUEST', () => post('/v1/segment', { text })],
    ['a member that is not known', 400, 'ERR_BAD_REQUEST', () => post('/v1/segment', { image: base64, txt: text })],
    ['no prompt', 422, 'ERR_EMPTY_PROMPT', () => post('/v1/segment', { image: base64 })],
    ['a box of no size', 422, 'ERR_INVALID_BOX', () => post('/v1/segment', { image: base64, boxes: [[5, 5, 5, 5]] })],
    [
      'bytes that are no image',
      422,
      'ERR_INVALID_IMAGE',
      () => postForm('/v1/segment', ['image', Buffer.from('no')], ['text', text]),
    ],
    [
      'a drawing',
      422,
      'ERR_INVALID_IMAGE',
      () =>
        postForm(
          '/v1/segment',
          ['image', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
          ['text', text],
        ),
    ],
    [
      'too many pixels',
      413,
      'ERR_TOO_LARGE',
      async () => postForm('/v1/segment', ['image', await large()], ['text', text]),
    ],
    ['too many images', 413, 'ERR_TOO_LARGE', () => post('/v1/segment', { images: [base64, base64, base64], text })],
    [
      'too many files',
      413,
      'ERR_TOO_LARGE',
      () => postForm('/v1/segment', ['image', picture], ['image', picture], ['image', picture], ['text', text]),
    ],
    [
      'too many prompts',
      413,
      'ERR_TOO_LARGE',
      () => post('/v1/segment', { image: base64, text: ['a', 'b', 'c', 'd'] }),
    ],
    ['too many bytes', 413, 'ERR_TOO_LARGE', () => post('/v1/segment', { image: 'A'.repeat(3_000_001), text })],
    [
      'too many bytes in a form',
      413,
      'ERR_TOO_LARGE',
      () =>
        postForm('/v1/segment', ['image', Buffer.alloc(2_000_000)], ['image', Buffer.alloc(2_000_000)], ['text', text]),
    ],
    [
      'an address, where none are taken',
      400,
      'ERR_BAD_REQUEST',
      () => post('/v1/segment', { image: { url: 'http://a.b/' }, text }),
    ],
    [
      'another type of body',
      415,
      'ERR_UNSUPPORTED_MEDIA_TYPE',
      () =>
        server.app.inject({
          method: 'POST',
          url: '/v1/segment',
          payload: 'a',
          headers: { 'content-type': 'text/csv' },
        }),
    ],
    [
      'a type of answer that is not made',
      406,
      'ERR_NOT_ACCEPTABLE',
      () => postImage('/v1/segment?text=a', { accept: 'text/html' }),
    ],
    [
      'a picture of two images',
      406,
      'ERR_NOT_ACCEPTABLE',
      () => post('/v1/segment', { images: [base64, base64], text, format: 'overlay' }),
    ],
    [
      'time that does not suffice',
      504,
      'ERR_TIMEOUT',
      () => post('/v1/segment', { image: base64, text, timeoutMs: 1 }),
    ],
    ['a click outside', 422, 'ERR_INVALID_POINT', () => post('/v1/predict', { image: base64, points: [[9999, 1]] })],
    [
      'a mask of another size',
      422,
      'ERR_INVALID_MASK',
      () => post('/v1/predict', { image: base64, maskInput: { size: 4, data: Buffer.alloc(12).toString('base64') } }),
    ],
    [
      'a method that an endpoint does not take',
      404,
      'ERR_NOT_FOUND',
      () => server.app.inject({ method: 'GET', url: '/v1/segment?text=cup' }),
    ],
    ['an endpoint that is not there', 404, 'ERR_NOT_FOUND', () => post('/v1/nothing', {})],
  ]
  it.each(cases)('%s: %i %s, as problem JSON with a fix', async (_what, status, code, ask) => {
    const answer = await ask()
    expect(answer.statusCode).toBe(status)
    expect((answer as unknown as { headers: Record<string, string> }).headers['content-type']).toMatch(
      /^application\/problem\+json/,
    )
    const problem = answer.json() as { detail: string; fix: string }
    expect(problem).toMatchObject({ status, code, type: `urn:sam3-node:error:${code}` })
    expect(problem.fix).not.toBe('')
    expect(problem.detail).not.toContain(problem.fix)
    expect(JSON.stringify(problem)).not.toContain(process.cwd())
  })

  it('names the method that an endpoint takes, and repeats nothing of a path that is none', async () => {
    const detail = async (url: string) => {
      const answer = await server.app.inject({ method: 'GET', url })
      return (answer.json() as { detail: string }).detail
    }
    expect(await detail('/v1/segment?text=cup')).toBe('/v1/segment takes POST, not GET.')
    expect(await detail('/v1/<script>')).toBe('There is no such endpoint.')
  })

  it('leaves the service as it was', async () => {
    const answer = await postImage(`/v1/segment?text=${cup.shows}`)
    expect(iou(best(answer), cup.mask)).toBeGreaterThan(0.8)
  })
})

it('the OpenAPI document has the schemas that check the requests', async () => {
  const document = (await server.app.inject({ url: '/openapi.json' })).json() as {
    paths: Record<string, { post?: { requestBody: { content: Record<string, { schema: { properties?: object } }> } } }>
  }
  const { content } = document.paths['/v1/segment']!.post!.requestBody
  expect(Object.keys(content)).toEqual(['application/json', 'multipart/form-data', 'image/*'])
  expect(Object.keys(content['application/json']!.schema.properties!)).toContain('maxInstances')
  expect((await server.app.inject({ url: '/docs/' })).statusCode).toBe(200)
})
