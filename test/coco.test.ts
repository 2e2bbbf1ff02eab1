import { describe, expect, it } from 'vitest'
import { Mask, toCocoJson } from '../lib/index.js'
import { pythonWith, runPython } from './support/python.js'
import { without } from './support/without.js'
import { randomBitmap, seededRandom } from './support/random.js'

const random = seededRandom(7)
const instance = (width: number, height: number, label?: string) => ({
  mask: Mask.fromBitmap(randomBitmap(random, width, height), width, height),
  score: random(),
  box: [1, 2, 3, 4] as const,
  ...(label === undefined ? {} : { label }),
})
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

/** Loads the data set as a COCO tool would and measures every annotation. */
const READER = `
import json, sys, tempfile, contextlib, io
from pycocotools.coco import COCO
data = json.load(sys.stdin)
with tempfile.NamedTemporaryFile('w', suffix='.json') as f, contextlib.redirect_stdout(io.StringIO()):
    json.dump(data, f); f.flush()
    coco = COCO(f.name)
    out = [[a['image_id'], coco.cats[a['category_id']]['name'], int(coco.annToMask(a).sum()), list(coco.annToMask(a).shape)] for a in coco.loadAnns(coco.getAnnIds())]
json.dump(out, sys.stdout)
`

describe('toCocoJson', () => {
  const data = toCocoJson(entries)

  const python = pythonWith('pycocotools')
  it.skipIf(without('python'))('is read by pycocotools with the same masks', () => {
    expect(runPython(python, ['-c', READER], data)).toEqual(
      entries.flatMap(({ instances, width, height }, index) =>
        instances.map(({ mask, label }) => [index + 1, label ?? 'object', mask.area, [height, width]]),
      ),
    )
  })

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
    for (const { bbox, area } of data.annotations) {
      if (area === 0) expect(bbox).toEqual([1, 2, 2, 2])
      else expect(bbox[2] * bbox[3]).toBeGreaterThanOrEqual(area)
    }
  })

  it('writes polygons on request', () => {
    const { annotations } = toCocoJson(entries, { segmentation: 'polygons' })
    for (const { segmentation, area } of annotations) {
      expect(Array.isArray(segmentation)).toBe(true)
      if (area > 0)
        for (const ring of segmentation as number[][]) expect(ring.length % 2 === 0 && ring.length >= 6).toBe(true)
    }
  })

  it('of nothing is a valid, empty data set', () => {
    expect(toCocoJson([])).toMatchObject({ images: [], categories: [], annotations: [] })
  })
})
