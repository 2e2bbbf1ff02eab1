/** Our exports in the hands of the tools that they are for: pycocotools, TrackEval, motmetrics, Datumaro (CVAT's importer). */
import { describe, expect, it } from 'vitest'
import { CocoVideo, type ExportedFrame, Mask, MotText, motSequenceInfo, toCocoJson } from '../../lib/index.js'
import { repositoryRoot } from '../support/paths.js'
import { pythonWith, runPython } from '../support/python.js'
import { seededRandom } from '../support/random.js'
import { without } from '../support/without.js'

const python = pythonWith('pycocotools', 'trackeval', 'motmetrics', 'datumaro')

/** What the reader of that name in support/consumers.py makes of `input`. */
// biome-ignore lint/suspicious/noExplicitAny: each reader answers in a form of its own
const seenBy = (reader: string, input: object): any =>
  runPython(python, [`${repositoryRoot}/test/support/consumers.py`, reader], input)

const [WIDTH, HEIGHT] = [60, 40]
const random = seededRandom(11)
const drawn = (isSet: (x: number, y: number) => boolean) =>
  Mask.fromBitmap(
    Uint8Array.from({ length: WIDTH * HEIGHT }, (_, index) =>
      isSet(index % WIDTH, Math.floor(index / WIDTH)) ? 1 : 0,
    ),
    WIDTH,
    HEIGHT,
  )
const shapes = {
  ring: drawn((x, y) => Math.hypot(x - 20, y - 20) < 15 && Math.hypot(x - 22, y - 19) > 6),
  'one pixel': drawn((x, y) => x === 7 && y === 3),
  all: drawn(() => true),
  nothing: drawn(() => false),
  noise: drawn(() => random() < 0.7),
  diagonal: drawn((x, y) => x === y),
  corner: drawn((x, y) => x > 50 && y === HEIGHT - 1),
  'islands in holes': drawn((x, y) => Math.round(Math.hypot(x - 30, y - 20) / 3) % 2 === 0),
}

describe.skipIf(without('python')).each(['rle', 'polygons'] as const)('COCO with %s', (segmentation) => {
  const names = ['ä b.png', 'sub folder/c.png', 'none.png']
  const categories = ['cup', 'unseen', 'tea "spoon"', 'object']
  const instances = Object.values(shapes).map((mask, index) => ({
    mask,
    score: 0.9 - 0.01 * index,
    ...(index % 3 === 2 ? {} : { label: categories[(index % 3) * 2]! }),
  }))
  const entries = [instances, instances.slice(0, 2), []].map((some, index) => ({
    fileName: names[index]!,
    width: WIDTH,
    height: HEIGHT,
    instances: some,
  }))
  const data = toCocoJson(entries, { segmentation, categories })
  const kept = entries.flatMap(({ fileName, instances: some }) =>
    some.filter(({ mask }) => mask.area > 0).map((one) => ({ fileName, ...one })),
  )

  it('pycocotools reads every mask to the pixel', () => {
    const seen = seenBy('coco', { truth: data })
    expect(seen).toHaveLength(kept.length)
    for (const [index, { fileName, mask, label = 'object' }] of kept.entries()) {
      expect(seen[index]).toMatchObject({ image: fileName, category: label, area: mask.area })
      const columns = Array.from({ length: WIDTH }, (_, x) =>
        Array.from({ length: HEIGHT }, (_, y) => Number(mask.has(x, y))),
      )
      expect(seen[index].columns).toEqual(columns)
    }
  })

  it('pycocotools evaluates it, as truth and as results', () => {
    expect(seenBy('coco_eval', { truth: data, results: data.annotations })).toEqual({
      segm: expect.closeTo(1),
      bbox: expect.closeTo(1),
    })
    // Half of them for each category: whoever finds less scores less.
    const half = data.annotations.filter(({ id }) => id % 2 === 0)
    const { segm } = seenBy('coco_eval', { truth: data, results: half })
    expect(segm).toBeGreaterThan(0.1)
    expect(segm).toBeLessThan(0.9)
  })

  it('Datumaro imports two days as one data set with the same labels', () => {
    const later = toCocoJson([{ ...entries[0]!, fileName: 'later.png', instances: instances.slice(1, 2) }], {
      segmentation,
      categories,
    })
    const { names: labels, items } = seenBy('datumaro_coco', { days: [data, later] })
    expect(labels).toEqual(categories)
    expect(Object.keys(items).sort()).toEqual(['later', 'none', 'sub folder/c', 'ä b'])
    expect(items.none).toEqual([])
    const kind = segmentation === 'rle' ? 'mask' : 'polygon'
    expect(items.later).toEqual([
      ['bbox', 'tea "spoon"', 1, 0.89],
      [kind, 'tea "spoon"', 1, 0.89],
    ])
    const expected = kept.filter(({ fileName }) => fileName === 'ä b.png')
    const byScore = new Map<number, [string, number]>()
    for (const [type, label, area, score] of items['ä b']) {
      if (type !== kind) continue
      byScore.set(score, [label, (byScore.get(score)?.[1] ?? 0) + area])
    }
    expect([...byScore.keys()].sort()).toEqual(expected.map(({ score }) => score).sort())
    for (const { score, label = 'object', mask } of expected) {
      const [name, area] = byScore.get(score)!
      expect(name).toBe(label)
      // Corners are within half a pixel of the true ones.
      expect(Math.abs(area - mask.area)).toBeLessThanOrEqual(segmentation === 'rle' ? 0 : 0.02 * mask.area)
    }
  })

  it('has what the importer of FiftyOne needs', () => {
    // Of fiftyone/utils/coco.py 1.22.1: COCOObject, _coco_segmentation_to_mask, parse_coco_categories.
    const known = data.categories.map(({ id }) => id)
    expect(data.categories.every(({ name }) => name !== '')).toBe(true)
    expect(new Set(data.categories.map(({ name }) => name)).size).toBe(known.length)
    for (const { category_id, bbox, segmentation: shape, score, iscrowd } of data.annotations) {
      expect(known).toContain(category_id) // or KeyError
      // The mask is cut out by the rounded box: whole numbers, at least a pixel, within the image.
      expect(bbox.every(Number.isInteger)).toBe(true)
      expect(Math.min(bbox[2], bbox[3])).toBeGreaterThan(0)
      expect([bbox[0] >= 0, bbox[1] >= 0, bbox[0] + bbox[2] <= WIDTH, bbox[1] + bbox[3] <= HEIGHT]).not.toContain(false)
      expect([typeof score, iscrowd]).toEqual(['number', 0])
      if (Array.isArray(shape)) {
        expect(shape.length).toBeGreaterThan(0) // an empty list is dropped
        for (const ring of shape) expect(ring.length).toBeGreaterThanOrEqual(6) // 4 numbers would be a box
      } else expect(shape).toEqual({ size: [HEIGHT, WIDTH], counts: expect.any(String) })
    }
  })
})

const FRAMES = 12
const box = (x: number, y: number, width: number, height: number) =>
  drawn((column, row) => column >= x && column < x + width && row >= y && row < y + height)
const object = (id: number, prompt: string | undefined, mask: Mask) => ({
  id,
  prompt,
  score: 0.93,
  trackerScore: 0.97,
  box: mask.box,
  mask,
})
const frames = Array.from({ length: FRAMES }, (_, frameIndex) => ({
  frameIndex,
  objects: [
    object(0, 'cup', box(2 * frameIndex, 3, 10, 12)),
    object(1, 'tea "spoon"', box(45 - 2 * frameIndex, 20, 12, 9)),
    object(7, undefined, shapes.nothing), // clicked, and hidden
  ],
}))
/** As a propagation in both directions gives them: the frame where it begins comes twice. */
const bothWays = [...frames.slice(5), ...frames.slice(0, 6).reverse()]
const cups = frames.map((frame) => ({ ...frame, objects: frame.objects.slice(0, 1) }))
const classes = ['cup', 'tea "spoon"', 'object']
const seqinfo = motSequenceInfo({ name: 'clip', width: WIDTH, height: HEIGHT, frameCount: FRAMES, frameRate: 29.97 })
const results = (of: readonly ExportedFrame[]) => {
  const mot = new MotText()
  return of.map((frame) => mot.lines(frame)).join('')
}
const truth = (of: readonly ExportedFrame[]) => {
  const mot = new MotText({ format: 'ground-truth', classes })
  return of.map((frame) => mot.lines(frame)).join('')
}

describe('MOT text', () => {
  it('TrackEval counts all boxes of the truth, and takes results of any number of texts', () => {
    const perfect = { mota: 1, boxes: FRAMES, hota: expect.closeTo(1) }
    expect(seenBy('trackeval_mot', { truth: truth(cups), results: results(cups), seqinfo })).toEqual(perfect)
    expect(seenBy('trackeval_mot', { truth: truth(cups), results: results([...cups].reverse()), seqinfo })).toEqual(
      perfect,
    )
    const asOne = frames.map((frame) => ({
      ...frame,
      objects: frame.objects.map((one) => ({ ...one, prompt: 'cup' })),
    }))
    expect(seenBy('trackeval_mot', { truth: truth(asOne), results: results(bothWays), seqinfo })).toEqual({
      ...perfect,
      boxes: 2 * FRAMES,
    })
    // Six of twelve boxes are missing.
    expect(seenBy('trackeval_mot', { truth: truth(cups), results: results(cups.slice(6)), seqinfo })).toMatchObject({
      mota: 0.5,
      boxes: FRAMES,
    })
  })

  it('motmetrics counts the boxes and finds pixel (0, 0) where we have it', () => {
    expect(seenBy('motmetrics_mot', { truth: truth(frames), results: results(bothWays) })).toEqual({
      mota: 1,
      idf1: 1,
      num_objects: 2 * FRAMES,
      corner: [0, 3],
    })
  })

  it('Datumaro keeps the track, the class and the size of every box', () => {
    const labels = `${classes.join('\n')}\n`
    const { frames: count, size, boxes } = seenBy('datumaro_mot', { truth: truth(frames), labels, seqinfo })
    expect([count, size]).toEqual([FRAMES, [HEIGHT, WIDTH]])
    expect(boxes).toEqual(
      frames.flatMap(({ frameIndex, objects }) =>
        objects.slice(0, 2).map(({ id, prompt, box: [x0, y0, x1, y1] }) => {
          const rectangle = [x0 + 1, y0 + 1, x1 - x0, y1 - y0]
          return [frameIndex + 1, id + 1, prompt, rectangle, false]
        }),
      ),
    )
  })
})

describe('COCO of a video', () => {
  const video = (of: readonly ExportedFrame[], categories = classes) => {
    const coco = new CocoVideo({ fileName: 'clip.mp4', width: WIDTH, height: HEIGHT, frameCount: FRAMES, categories })
    for (const frame of of) coco.add(frame)
    return coco
  }
  const score = (found: CocoVideo, against: CocoVideo) =>
    seenBy('trackeval_ytvis', { truth: against.toJSON(), results: found.results() })

  it('TrackEval reads it as the truth of YouTube-VIS and as results', () => {
    const perfect = { cup: expect.closeTo(1), 'tea "spoon"': expect.closeTo(1) }
    expect(score(video(bothWays), video(frames))).toMatchObject({ sequences: ['clip'], hota: perfect, map: perfect })
  })

  it('categories mean the same in exports that found other things', () => {
    const spoons = frames.map((frame) => ({ ...frame, objects: frame.objects.slice(1) }))
    expect(score(video(spoons), video(frames)).hota).toMatchObject({ cup: 0, 'tea "spoon"': expect.closeTo(1) })
  })
})
