/** Clients of other services: requests as the documentation of these services shows them, with pictures and words of ours. */
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CocoRle, Mask } from '../../lib/index.js'
import type { Server } from '../../server/index.js'
import { inside, iou, scene } from '../support/demo.js'
import { tiff } from '../support/tiff.js'
import { demoService, form, type Part, picture } from './support.js'

let server: Server
beforeAll(async () => {
  server = (await demoService({ dialects: ['samgeo', 'roboflow'], maxPrompts: 3 })).server
})
afterAll(() => server.close())

const cup = scene.objects.find(({ shows }) => shows === 'cup')!
const post = (url: string, ...parts: Part[]) => server.app.inject({ method: 'POST', url, ...form(...parts) })
const near = (box: readonly number[]) => Math.max(...box.map((value, at) => Math.abs(value - cup.mask.box[at]!)))

interface Feature {
  geometry: { type: string; coordinates: [number, number][][] }
  properties: { value?: number; score?: number; bbox_pixel?: number[] }
}

describe('samgeo-api', () => {
  const text = (format: string, ...more: Part[]) =>
    post('/segment/text', ['file', picture], ['prompt', 'cup'], ['output_format', format], ...more)

  it('answers a text with outlines, boxes and labels', async () => {
    const { features } = (await text('geojson')).json() as { features: Feature[] }
    const values = new Set(features.map(({ properties }) => properties.value))
    expect(values.has(1)).toBe(true)
    for (const { geometry } of features) {
      expect(geometry.type).toBe('Polygon')
      for (const ring of geometry.coordinates) expect(ring.at(-1)).toEqual(ring[0])
    }
    const found = (await text('json')).json() as {
      image_width: number
      num_detections: number
      detections: { id: number; bbox: number[]; width: number; score: number }[]
    }
    expect(found).toMatchObject({ image_width: 672, image_height: 672, num_detections: values.size })
    expect(found.detections[0]!.score).toBeGreaterThan(0.5)
    expect(Math.min(...found.detections.map(({ bbox }) => near(bbox)))).toBeLessThan(15)
    const boxes = (await text('detections')).json() as { num_detections: number; features: Feature[] }
    expect(boxes.features.map(({ properties }) => properties.score)).toEqual(found.detections.map(({ score }) => score))
    const png = await sharp((await text('png')).rawPayload).stats()
    expect(png.channels[0]!.max).toBe(values.size)
  })

  it('answers points with one thing, boxes with all that are alike', async () => {
    const points: Part[] = [
      ['point_coords', JSON.stringify([inside(cup.mask)])],
      ['point_labels', '[1]'],
    ]
    const one = await post('/segment/predict', ['file', picture], ...points, ['output_format', 'json'], ['boxes', ''])
    const { detections } = one.json() as { detections: { bbox: number[]; value: number }[] }
    expect(detections.map(({ value }) => value)).toEqual([1])
    expect(near(detections[0]!.bbox)).toBeLessThan(15)
    const boxes = JSON.stringify([cup.mask.box])
    const alike = await post('/segment/predict', ['file', picture], ['boxes', boxes], ['output_format', 'json'])
    expect((alike.json() as { num_detections: number }).num_detections).toBeGreaterThan(1)
  })

  it('leaves out what is too small, and says 404 where nothing is found', async () => {
    const answer = await text('json', ['min_size', '400000'])
    expect(answer.json()).toMatchObject({ status: 404, detail: 'No objects found for the given prompt.' })
  })

  it('says which model there is, and that it is alive', async () => {
    expect((await server.app.inject({ url: '/models' })).json()).toEqual({
      models: { sam3: ['facebook/sam3'] },
      loaded: [['sam3', 'facebook/sam3', true]],
    })
    expect((await server.app.inject({ url: '/health' })).json()).toEqual({ status: 'ok' })
  })

  it('refuses what is not covered', async () => {
    const onMap = tiff({
      width: 80,
      height: 60,
      sample: 'uint8',
      data: Array<number>(4800).fill(100),
      tags: { 34735: [1, 1, 0, 0] },
    })
    const mapped = await post('/segment/text', ['file', onMap], ['prompt', 'cup'])
    expect(mapped.json()).toMatchObject({ status: 406, code: 'ERR_NOT_ACCEPTABLE' })
    for (const more of [
      ['output_format', 'geotiff'],
      ['model_version', 'sam2'],
      ['point_crs', 'EPSG:4326'],
    ] as const)
      expect((await post('/segment/predict', ['file', picture], ['boxes', '[[1,1,9,9]]'], more)).statusCode).toBe(400)
    expect((await post('/segment/predict', ['file', picture])).statusCode).toBe(400)
  })
})

describe('Roboflow', () => {
  const image = { type: 'base64', value: picture.toString('base64') }
  const ask = (more: object) =>
    server.app.inject({ method: 'POST', url: '/sam3/concept_segment?api_key=key', payload: { image, ...more } })
  interface Answer {
    time: number
    prompt_results: {
      prompt_index: number
      echo: { text?: string }
      predictions: { format: string; confidence: number; masks: unknown }[]
    }[]
  }

  it('answers each text with polygons', async () => {
    const prompts = [
      { type: 'text', text: 'cup' },
      { type: 'text', text: 'dog' },
    ]
    const answer = await ask({ prompts, output_prob_thresh: 0.5, format: 'polygon' })
    const { prompt_results: results, time } = answer.json() as Answer
    expect(time).toBeGreaterThan(0)
    expect(results.map(({ echo }) => echo)).toEqual([
      { prompt_index: 0, type: 'text', text: 'cup', num_boxes: 0 },
      { prompt_index: 1, type: 'text', text: 'dog', num_boxes: 0 },
    ])
    const [best] = results[0]!.predictions
    expect(best).toMatchObject({ format: 'polygon', confidence: expect.any(Number) })
    expect((best!.masks as [number, number][][])[0]!.length).toBeGreaterThan(3)
  })

  it('answers boxes of either form with run lengths', async () => {
    const [x0, y0, x1, y1] = cup.mask.box
    for (const box of [
      { x0, y0, x1, y1 },
      { x: x0, y: y0, width: x1 - x0, height: y1 - y0 },
    ]) {
      const answer = await ask({ prompts: [{ type: 'visual', boxes: [box], box_labels: [1] }], format: 'rle' })
      const { predictions } = (answer.json() as Answer).prompt_results[0]!
      const masks = predictions.map((prediction) => Mask.fromRle(prediction.masks as CocoRle))
      expect(Math.max(...masks.map((mask) => iou(mask, cup.mask)))).toBeGreaterThan(0.8)
    }
  })

  it('refuses what is not covered', async () => {
    const prompts = [{ text: 'cup' }]
    expect((await ask({ prompts, nms_iou_threshold: 0.5 })).statusCode).toBe(400)
    expect((await ask({ prompts, model_id: 'my-project/3' })).statusCode).toBe(400)
    expect((await ask({ prompts: Array(4).fill(prompts[0]) })).statusCode).toBe(413)
    expect((await ask({ prompts, image: { type: 'url', value: 'http://a.b/c.jpg' } })).statusCode).toBe(400)
  })
})

it('other services are understood only where it is asked for', async () => {
  const { server: plain } = await demoService()
  for (const url of ['/segment/text', '/sam3/concept_segment'])
    expect((await plain.app.inject({ method: 'POST', url })).statusCode).toBe(404)
  await plain.close()
})
