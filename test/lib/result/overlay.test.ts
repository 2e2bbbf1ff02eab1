import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { Mask, overlay, type OverlayInstance, type Polygon, type RawImage, type Vertex } from '../../../lib/index.js'
import { placeLabel, type Rectangle } from '../../../lib/result/label-layout.js'
import { instanceColor, readableOn, type Rgb } from '../../../lib/label/palette.js'
import { smoothOutline } from '../../../lib/result/smooth-outline.js'
import { noiseImage, rejection } from '../../support/model.js'

const grey = (width: number, height: number): RawImage => ({
  width,
  height,
  channels: 1,
  data: new Uint8Array(width * height).fill(128),
})

function square(width: number, height: number, x0: number, y0: number, side: number): OverlayInstance {
  const bitmap = new Uint8Array(width * height)
  for (let y = y0; y < y0 + side; y++) bitmap.fill(1, y * width + x0, y * width + x0 + side)
  const mask = Mask.fromBitmap(bitmap, width, height)
  return { mask, box: mask.box, score: 0.87, label: 'square' }
}

async function pixels(picture: Buffer) {
  const { data, info } = await sharp(picture).raw().toBuffer({ resolveWithObject: true })
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)]
  return { ...info, at }
}

describe('overlay', () => {
  it('fills the mask with its colour at the given opacity and leaves the rest alone', async () => {
    const plain = { contours: false, boxes: false, labels: false, opacity: 0.5 }
    const { at, ...info } = await pixels(await overlay(grey(600, 500), [square(600, 500, 100, 200, 50)], plain))
    expect(info).toMatchObject({ width: 600, height: 500, channels: 3 })
    const color = instanceColor(0)
    for (const [x, y] of [
      [100, 200],
      [149, 249],
      [120, 230],
    ] as const) {
      at(x, y).forEach((value, channel) => {
        expect(Math.abs(value - (64 + color[channel]! / 2))).toBeLessThanOrEqual(1)
      })
    }
    for (const [x, y] of [
      [99, 200],
      [150, 249],
      [120, 250],
      [0, 0],
    ] as const)
      expect(at(x, y)).toEqual([128, 128, 128])
  })

  it('draws contour, box and label where they were asked for', async () => {
    const one = [square(600, 500, 100, 200, 80)]
    const changed = async (options: object) => {
      const none = { contours: false, boxes: false, labels: false, opacity: 0 }
      const { at } = await pixels(await overlay(grey(600, 500), one, { ...none, ...options }))
      const count = (x0: number, y0: number, x1: number, y1: number) => {
        let sum = 0
        for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) if (at(x, y).join() !== '128,128,128') sum++
        return sum
      }
      return { edge: count(98, 230, 102, 250), above: count(100, 182, 160, 198), inside: count(120, 220, 160, 260) }
    }
    expect(await changed({})).toEqual({ edge: 0, above: 0, inside: 0 })
    expect((await changed({ contours: true })).edge).toBeGreaterThan(20)
    expect((await changed({ boxes: true })).edge).toBeGreaterThan(20)
    const labelled = await changed({ labels: true })
    expect(labelled.above).toBeGreaterThan(600)
    expect(labelled.edge).toBe(0)
  })

  it('enlarges a tiny image so that labels can be read, unless told not to', async () => {
    const tiny = [square(40, 30, 5, 5, 10)]
    expect(await pixels(await overlay(grey(40, 30), tiny))).toMatchObject({ width: 480, height: 360 })
    expect(await pixels(await overlay(grey(40, 30), tiny, { scale: 1 }))).toMatchObject({ width: 40, height: 30 })
    const { at } = await pixels(
      await overlay(grey(40, 30), tiny, { scale: 3, contours: false, boxes: false, labels: false }),
    )
    expect(at(15, 15)).not.toEqual([128, 128, 128])
    expect(at(44, 44)).not.toEqual([128, 128, 128])
    expect(at(45, 45)).toEqual([128, 128, 128])
  })

  it('takes nothing, empty masks, odd labels and a mask of noise', async () => {
    expect(await pixels(await overlay(grey(500, 500), []))).toMatchObject({ width: 500 })
    const noise = Mask.fromBitmap(
      Uint8Array.from({ length: 250_000 }, (_, i) => ((i * 2654435761) % 7 < 3 ? 1 : 0)),
      500,
      500,
    )
    const odd: OverlayInstance[] = [
      { mask: Mask.fromBitmap(new Uint8Array(250_000), 500, 500) },
      { mask: noise, label: '<b>&"日本語 👩‍👧 مرحبا \u0000\n', score: 1 },
      { mask: noise, label: 'a very long label '.repeat(40), box: [-50, -50, 700, 700] },
    ]
    expect(await pixels(await overlay(grey(500, 500), odd))).toMatchObject({ width: 500, height: 500 })
  })

  it('refuses a format that it does not know, or that cannot hold the picture', async () => {
    const long = noiseImage(17_000, 1)
    for (const format of ['webp', 'bmp', 3] as never[]) {
      expect(await rejection(overlay(long, [], { format }))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
    }
    const { width, height } = await sharp(await overlay(long, [], { format: 'jpeg' })).metadata()
    expect({ width, height }).toEqual({ width: 17_000, height: 1 })
  })

  it('leaves the pixels of the caller alone and writes other formats', async () => {
    const image: RawImage = { width: 500, height: 400, channels: 3, data: new Uint8Array(600_000).fill(9) }
    const picture = await overlay(image, [square(500, 400, 10, 10, 100)], { format: 'jpeg' })
    expect((await sharp(picture).metadata()).format).toBe('jpeg')
    expect(image.data.every((value) => value === 9)).toBe(true)
  })

  it.each<[string, object, string]>([
    ['an opacity above 1', { opacity: 1.5 }, 'ERR_INVALID_ARGUMENT'],
    ['a scale of zero', { scale: 0 }, 'ERR_INVALID_ARGUMENT'],
    ['a misspelt option', { opactiy: 1 }, 'ERR_INVALID_ARGUMENT'],
  ])('refuses %s', async (_name, options, code) => {
    expect(await rejection(overlay(grey(10, 10), [], options))).toMatchObject({ code })
  })

  it('refuses a mask of another size', async () => {
    const error = await rejection(overlay(grey(10, 10), [square(20, 20, 1, 1, 3)]))
    expect(error).toMatchObject({ code: 'ERR_INVALID_MASK' })
  })
})

describe('labels', () => {
  it('are placed inside of the picture and apart from each other while there is room', () => {
    const taken: Rectangle[] = []
    const picture = { width: 800, height: 600 }
    for (let index = 0; index < 12; index++) placeLabel([300, 300, 380, 380], { width: 90, height: 20 }, picture, taken)
    for (const [index, a] of taken.entries()) {
      expect(a.x >= 0 && a.y >= 0 && a.x + a.width <= 800 && a.y + a.height <= 600).toBe(true)
      for (const b of taken.slice(index + 1)) {
        expect(a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height).toBe(false)
      }
    }
  })
})

describe('smoothOutline', () => {
  it('turns the staircase of a disc into a circle, and leaves specks alone', () => {
    const size = 200
    const disc = Uint8Array.from({ length: size * size }, (_, i) =>
      Math.hypot((i % size) + 0.5 - 100, Math.floor(i / size) + 0.5 - 100) < 80 ? 1 : 0,
    )
    const [{ outline }] = Mask.fromBitmap(disc, size, size).toPolygons() as [Polygon]
    const offCircle = (ring: readonly Vertex[]) =>
      Math.max(...ring.map(([x, y]) => Math.abs(Math.hypot(x - 100, y - 100) - 80)))
    const smooth = smoothOutline(outline)
    expect(offCircle(outline)).toBeGreaterThan(0.6)
    expect(offCircle(smooth)).toBeLessThan(0.5)
    expect(smooth.length).toBeLessThan(outline.length)
    const speck: Vertex[] = [
      [3, 3],
      [5, 3],
      [5, 5],
      [3, 5],
    ]
    expect(smoothOutline(speck)).toEqual(speck)
  })
})

describe('palette', () => {
  it('gives every one of 60 instances a colour of its own', () => {
    const colors = Array.from({ length: 60 }, (_, index) => instanceColor(index))
    expect(new Set(colors.map(String)).size).toBe(60)
    const distance = (a: Rgb, b: Rgb) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])
    for (let index = 1; index < colors.length; index++)
      expect(distance(colors[index]!, colors[index - 1]!)).toBeGreaterThan(60)
  })

  it('writes dark on light and light on dark', () => {
    expect(readableOn([255, 240, 120])).toBe('#000')
    expect(readableOn([20, 20, 120])).toBe('#fff')
  })
})
