import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { Mask } from '../../../lib/result/mask.js'
import type { Vertex } from '../../../lib/result/polygons.js'
import { repositoryRoot } from '../../support/paths.js'
import { pythonWith, runPython } from '../../support/python.js'
import { without } from '../../support/without.js'
import { randomBitmap, seededRandom } from '../../support/random.js'

interface CocoAnswer {
  counts: string
  area: number
  bbox: [number, number, number, number]
  packed: number[]
}

const random = seededRandom(20260301)
const samples = Array.from({ length: 300 }, () => {
  const [width, height] = [1 + Math.floor(random() * 70), 1 + Math.floor(random() * 70)]
  return { width, height, bitmap: randomBitmap(random, width, height) }
})
samples.push(
  { width: 5, height: 3, bitmap: new Uint8Array(15) },
  { width: 5, height: 3, bitmap: new Uint8Array(15).fill(1) },
  { width: 1, height: 1, bitmap: new Uint8Array([1]) },
  { width: 2000, height: 1500, bitmap: randomBitmap(random, 2000, 1500) },
)

/** Signed area of a ring, positive when it runs clockwise on the screen. */
function ringArea(ring: readonly Vertex[]): number {
  return ring.reduce((sum, [x, y], index) => {
    const [nextX, nextY] = ring[(index + 1) % ring.length]!
    return sum + (x * nextY - nextX * y) / 2
  }, 0)
}

describe('Mask', () => {
  const python = pythonWith('pycocotools', 'numpy')
  it.skipIf(without('python'))('gives the bytes of pycocotools and numpy.packbits', () => {
    const answers = runPython(
      python,
      [`${repositoryRoot}/test/support/coco_oracle.py`],
      samples.map((sample) => ({ ...sample, bitmap: [...sample.bitmap] })),
    ) as CocoAnswer[]
    samples.forEach(({ bitmap, width, height }, index) => {
      const mask = Mask.fromBitmap(bitmap, width, height)
      const expected = answers[index]!
      expect(mask.toRle()).toEqual({ size: [height, width], counts: expected.counts })
      expect(mask.area).toBe(expected.area)
      expect(Buffer.from(mask.toPacked()).equals(Buffer.from(expected.packed))).toBe(true)
      const [x0, y0, x1, y1] = mask.box
      // pycocotools calls the box of a mask that wraps round a column end the full height; ours is the tight one.
      if (mask.area > 0) expect([x0, x1 - x0]).toEqual([expected.bbox[0], expected.bbox[2]])
      expect(y1 - y0).toBeLessThanOrEqual(expected.bbox[3])
    })
  })

  it('comes back unchanged from a bitmap, from RLE and from PNG', async () => {
    for (const { bitmap, width, height } of samples.slice(0, 40)) {
      const mask = Mask.fromBitmap(bitmap, width, height)
      expect(Buffer.from(mask.toBitmap()).equals(Buffer.from(bitmap))).toBe(true)
      expect(Mask.fromRle(mask.toRle())).toEqual(mask)
      const png = sharp(await mask.toPng())
      expect(await png.metadata()).toMatchObject({ format: 'png', width, height, channels: 1 })
      const pixels = await png.toColourspace('b-w').raw().toBuffer()
      expect([...pixels].map((value) => value / 255)).toEqual([...bitmap])
    }
  })

  it('has the tightest box', () => {
    for (const { bitmap, width, height } of samples.slice(0, 100)) {
      const { box, area } = Mask.fromBitmap(bitmap, width, height)
      const set = [...bitmap.keys()].filter((index) => bitmap[index])
      const xs = set.map((index) => index % width)
      const ys = set.map((index) => Math.floor(index / width))
      expect(area).toBe(set.length)
      expect(box).toEqual(
        area === 0 ? [0, 0, 0, 0] : [Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1],
      )
    }
  })

  it('answers for single pixels', () => {
    const { bitmap, width, height } = samples[0]!
    const mask = Mask.fromBitmap(bitmap, width, height)
    for (let index = 0; index < bitmap.length; index++) {
      expect(mask.has(index % width, Math.floor(index / width))).toBe(bitmap[index] === 1)
    }
    expect(mask.has(-1, 0)).toBe(false)
    expect(mask.has(0, height)).toBe(false)
  })

  it.each([
    ['too short a bitmap', () => Mask.fromBitmap([0, 1], 2, 2)],
    ['no size', () => Mask.fromBitmap([], 0, 0)],
    [
      'an RLE of another size',
      () => Mask.fromRle({ size: [3, 3], counts: Mask.fromBitmap([1, 0], 2, 1).toRle().counts }),
    ],
  ])('refuses %s', (_name, make) => {
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_INVALID_MASK' }))
  })
})

describe('Mask.toPolygons', () => {
  it('covers exactly the set pixels: outlines less holes have the area of the mask', () => {
    for (const { bitmap, width, height } of samples) {
      const mask = Mask.fromBitmap(bitmap, width, height)
      let area = 0
      for (const { outline, holes } of mask.toPolygons()) {
        expect(ringArea(outline)).toBeGreaterThan(0)
        area += ringArea(outline)
        for (const hole of holes) {
          expect(ringArea(hole)).toBeLessThan(0)
          area += ringArea(hole)
        }
      }
      expect(area).toBe(mask.area)
    }
  })

  it('gives a hole to the piece around it, and pieces that touch at a corner apart', () => {
    // A ring with an island in its hole, and a pixel that touches the ring at a corner.
    const rows = ['.......', '.#####.', '.#...#.', '.#.#.#.', '.#...#.', '.#####.', '......#']
    const mask = Mask.fromBitmap(
      [...rows.join('')].map((c) => (c === '#' ? 1 : 0)),
      7,
      7,
    )
    const polygons = mask.toPolygons()
    expect(polygons.map(({ outline, holes }) => [ringArea(outline), holes.map(ringArea)])).toEqual([
      [25, [-9]],
      [1, []],
      [1, []],
    ])
    expect(polygons[0]!.outline).toHaveLength(4)
  })

  it('keeps a simplified outline within the tolerance and drops specks below minArea', () => {
    const size = 200
    const disc = Uint8Array.from({ length: size * size }, (_, i) =>
      Math.hypot((i % size) - 100, Math.floor(i / size) - 100) < 80 ? 1 : 0,
    )
    disc[0] = 1
    const mask = Mask.fromBitmap(disc, size, size)
    const exact = mask.toPolygons()
    const [smooth, ...others] = mask.toPolygons({ tolerance: 1, minArea: 2 })
    expect(exact).toHaveLength(2)
    expect(others).toEqual([])
    expect(smooth!.outline.length).toBeLessThan(exact[1]!.outline.length / 5)
    expect(Math.abs(ringArea(smooth!.outline) - mask.area) / mask.area).toBeLessThan(0.02)
    for (const [x, y] of smooth!.outline) expect(Math.abs(Math.hypot(x - 100.5, y - 100.5) - 80)).toBeLessThan(2)
  })

  it('has none for an empty mask', () => {
    expect(Mask.fromBitmap(new Uint8Array(9), 3, 3).toPolygons()).toEqual([])
  })
})
