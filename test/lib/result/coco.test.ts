/** Results of images as a COCO data set. What other tools make of it is in consumers.test.ts. */
import { describe, expect, it } from 'vitest'
import { Mask, toCocoJson } from '../../../lib/index.js'
import { cocoPolygons } from '../../../lib/result/coco-polygons.js'
import { randomBitmap, seededRandom } from '../../support/random.js'

const random = seededRandom(7)
const instance = (width: number, height: number, label?: string) => {
  const bitmap = randomBitmap(random, width, height)
  bitmap[0] = 1
  return { mask: Mask.fromBitmap(bitmap, width, height), score: random(), ...(label === undefined ? {} : { label }) }
}
const entries = [
  {
    fileName: 'a.jpg',
    width: 60,
    height: 40,
    instances: [instance(60, 40, 'cat'), instance(60, 40, 'dog'), instance(60, 40)],
  },
  { fileName: 'b.jpg', width: 30, height: 50, instances: [] },
  { fileName: 'c.jpg', width: 31, height: 17, instances: [instance(31, 17, 'dog')] },
]
const invalid = (code: string, message: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(message) })

describe('toCocoJson', () => {
  const data = toCocoJson(entries)

  it('numbers images, categories and annotations from 1 and keeps scores', () => {
    expect(data.images.map(({ id, file_name }) => [id, file_name])).toEqual([
      [1, 'a.jpg'],
      [2, 'b.jpg'],
      [3, 'c.jpg'],
    ])
    expect(data.categories.map(({ id, name }) => [id, name])).toEqual([
      [1, 'cat'],
      [2, 'dog'],
      [3, 'object'],
    ])
    expect(data.annotations.map(({ id }) => id)).toEqual([1, 2, 3, 4])
    expect(data.annotations.map(({ score }) => score)).toEqual(
      entries.flatMap(({ instances }) => instances.map(({ score }) => score)),
    )
    for (const { bbox, area, iscrowd } of data.annotations) {
      expect(bbox[2] * bbox[3]).toBeGreaterThanOrEqual(area)
      expect(iscrowd).toBe(0)
    }
  })

  it('leaves out what has no pixel, in both forms, and gives boxes within the image', () => {
    const nothing = {
      mask: Mask.fromBitmap(new Uint8Array(60 * 40), 60, 40),
      score: 0.9,
      box: [-3, 2, 10, 99],
      label: 'cow',
    }
    const [first] = entries
    const withNothing = [{ ...first!, instances: [nothing, ...first!.instances, nothing] }]
    for (const segmentation of ['rle', 'polygons'] as const) {
      const { annotations, categories } = toCocoJson(withNothing, { segmentation })
      expect(annotations.map(({ id }) => id)).toEqual([1, 2, 3])
      expect(categories.map(({ name }) => name)).toEqual(['cat', 'dog', 'object'])
      for (const { bbox, area, segmentation: shape } of annotations) {
        expect(area).toBeGreaterThan(0)
        expect(shape).not.toEqual([])
        const [x, y, width, height] = bbox
        expect([x >= 0, y >= 0, x + width <= 60, y + height <= 40]).toEqual([true, true, true, true])
      }
    }
  })

  it('lists the categories given, with ids that do not depend on what was found', () => {
    const categories = ['bird', 'dog', 'object', 'cat']
    const both = [entries, entries.slice(1)].map((some) => toCocoJson(some, { categories }))
    for (const { categories: listed } of both)
      expect(listed.map(({ id, name }) => [id, name])).toEqual(categories.map((name, index) => [index + 1, name]))
    expect(both[0]!.annotations.map(({ category_id }) => category_id)).toEqual([4, 2, 3, 2])
    expect(both[1]!.annotations.map(({ category_id }) => category_id)).toEqual([2])
  })

  it('takes the ids of another data set, for categories and for images', () => {
    const { annotations, categories, images } = toCocoJson(
      [
        { ...entries[2]!, imageId: 397133 },
        { ...entries[1]!, imageId: 0 },
      ],
      {
        categories: [
          { id: 18, name: 'dog', supercategory: 'animal' },
          { id: 1, name: 'person' },
        ],
      },
    )
    expect(categories).toEqual([
      { id: 18, name: 'dog', supercategory: 'animal' },
      { id: 1, name: 'person', supercategory: 'object' },
    ])
    expect(images.map(({ id }) => id)).toEqual([397133, 0])
    expect(annotations).toMatchObject([{ id: 1, image_id: 397133, category_id: 18 }])
  })

  it.each<[string, unknown[], string]>([
    ['a label that is not among them', ['cat', 'dog'], "'object' is none of the categories cat, dog"],
    ['no list', 'cat' as unknown as unknown[], 'must be a list'],
    ['a name twice', ['cat', 'dog', 'cat'], "Two categories are called 'cat'"],
    ['an id twice', ['cat', { id: 1, name: 'dog' }], 'Two categories have the id 1'],
    ['the id 0, which means no category', [{ id: 0, name: 'cat' }], "The id of category 'cat'"],
    ['an empty name', ['cat', ''], 'categories[1] has no name'],
    ['nothing', ['cat', null], 'categories[1] has no name'],
  ])('refuses categories with %s', (_what, categories, message) => {
    expect(() => toCocoJson(entries, { categories: categories as string[] })).toThrow(
      invalid('ERR_INVALID_ARGUMENT', message),
    )
  })

  it('refuses image ids that are used twice, and masks of another size', () => {
    expect(() => toCocoJson([entries[0]!, { ...entries[1]!, imageId: 1 }])).toThrow(
      invalid('ERR_INVALID_ARGUMENT', 'Two images have the id 1'),
    )
    expect(() => toCocoJson([{ ...entries[0]!, imageId: 1.5 }])).toThrow(invalid('ERR_INVALID_ARGUMENT', 'imageId'))
    expect(() => toCocoJson([{ ...entries[0]!, width: 61 }])).toThrow(invalid('ERR_INVALID_MASK', 'a.jpg'))
  })

  it.each<[unknown]>([[[7]], [[3, -1, 4]], [[6.5]], [6], [null]])(
    'an RLE with the counts %o is no mask of 2 x 3',
    (counts) => {
      expect(Mask.fromRle({ size: [3, 2], counts: [2, 3, 1] }).toRle()).toEqual(
        Mask.fromBitmap([0, 1, 0, 1, 1, 0], 2, 3).toRle(),
      )
      expect(() => Mask.fromRle({ size: [3, 2], counts: counts as number[] })).toThrow(
        invalid('ERR_INVALID_MASK', 'RLE'),
      )
    },
  )

  it('of nothing is a valid, empty data set', () => {
    expect(toCocoJson([])).toMatchObject({ images: [], categories: [], annotations: [] })
  })
})

describe('the polygons of a data set', () => {
  /** Twice the area of a ring: positive where it is clockwise on the screen. */
  const twiceTheArea = (ring: readonly number[]) => {
    let sum = 0
    for (let at = 0; at < ring.length; at += 2) {
      const next = (at + 2) % ring.length
      sum += ring[at]! * ring[next + 1]! - ring[next]! * ring[at + 1]!
    }
    return sum
  }
  const drawn = (rows: string[]) =>
    Mask.fromBitmap(
      [...rows.join('')].map((letter) => (letter === '#' ? 1 : 0)),
      rows[0]!.length,
      rows.length,
    )

  it('lead around a hole by a cut', () => {
    expect(cocoPolygons(drawn(['####', '#..#', '####']))).toEqual([
      [4, 0, 4, 3, 0, 3, 0, 1, 1, 1, 1, 2, 3, 2, 3, 1, 1, 1, 0, 1, 0, 0],
    ])
  })

  it('lead from hole to hole, and leave islands to themselves', () => {
    const mask = drawn(['#########', '#.#.#...#', '#####.#.#', '#.###...#', '#########'])
    const rings = cocoPolygons(mask)
    expect(rings).toHaveLength(2)
    expect(rings.reduce((sum, ring) => sum + twiceTheArea(ring), 0)).toBe(2 * mask.area)
  })

  it('have three corners or more, and the area of the mask, up to the tolerance', () => {
    for (let count = 0; count < 50; count++) {
      const { mask } = instance(5 + Math.floor(random() * 40), 5 + Math.floor(random() * 40))
      const rings = cocoPolygons(mask)
      for (const ring of rings)
        expect([ring.length % 2, ring.length >= 6, twiceTheArea(ring) > 0]).toEqual([0, true, true])
      expect(rings.reduce((sum, ring) => sum + twiceTheArea(ring), 0)).toBeCloseTo(2 * mask.area, -1)
    }
  })
})
