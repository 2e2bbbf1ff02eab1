/** Results of a video as COCO's format for videos and as MOT text. */
import { describe, expect, it } from 'vitest'
import { Mask } from '../../../lib/index.js'
import { CocoVideo } from '../../../lib/video/export/coco-video.js'
import { MotText } from '../../../lib/video/export/mot.js'
import { motSequenceInfo } from '../../../lib/video/export/mot-sequence.js'
import type { ExportedFrame, ExportedObject } from '../../../lib/video/export/types.js'
import { randomBitmap, seededRandom } from '../../support/random.js'

const WIDTH = 20
const HEIGHT = 12
const random = seededRandom(7)

function object(id: number, more: Partial<ExportedObject> = {}): ExportedObject {
  const bitmap = randomBitmap(random, WIDTH, HEIGHT)
  bitmap[5 * WIDTH + 3] = 1
  const mask = Mask.fromBitmap(bitmap, WIDTH, HEIGHT)
  return { id, prompt: 'dog', score: 0.75, trackerScore: 0.123456789, box: mask.box, mask, ...more }
}

const frames = [
  { frameIndex: 0, objects: [object(0), object(1, { prompt: 'cat' })] },
  { frameIndex: 1, objects: [object(1, { prompt: 'cat', trackerScore: 1 })] },
  { frameIndex: 3, objects: [object(0), object(7, { prompt: undefined, score: 1 })] },
]
const info = { fileName: 'clips/walk.mp4', width: WIDTH, height: HEIGHT }

describe('CocoVideo', () => {
  it('has one annotation for each object, with an entry for each frame', () => {
    const coco = new CocoVideo({ ...info, frameCount: 6 })
    for (const frame of [frames[2]!, frames[0]!, frames[1]!]) coco.add(frame) // as a backward propagation gives them
    const { videos, categories, annotations } = coco.toJSON()
    expect(videos).toEqual([
      {
        id: 1,
        name: 'clips/walk.mp4',
        width: WIDTH,
        height: HEIGHT,
        length: 6,
        file_names: ['00000', '00001', '00002', '00003', '00004', '00005'].map((name) => `walk/${name}.jpg`),
      },
    ])
    expect(categories).toEqual([
      { id: 1, name: 'dog', supercategory: 'object' },
      { id: 2, name: 'object', supercategory: 'object' },
      { id: 3, name: 'cat', supercategory: 'object' },
    ])
    expect(annotations.map(({ id, track_id, category_id, score }) => [id, track_id, category_id, score])).toEqual([
      [1, 0, 1, 0.75],
      [2, 7, 2, 1],
      [3, 1, 3, 0.75],
    ])
    for (const one of annotations) {
      expect(one).toMatchObject({ video_id: 1, iscrowd: 0, width: WIDTH, height: HEIGHT, length: 6 })
      for (let index = 0; index < 6; index++) {
        const truth = frames
          .find(({ frameIndex }) => frameIndex === index)
          ?.objects.find(({ id }) => id === one.track_id)
        const [rle, bbox, area] = [one.segmentations[index], one.bboxes[index], one.areas[index]]
        if (!truth) {
          expect([rle, bbox, area]).toEqual([null, null, null])
          continue
        }
        const mask = Mask.fromRle(rle!)
        expect([...mask.toBitmap()]).toEqual([...truth.mask.toBitmap()])
        expect(area).toBe(mask.area)
        const [x, y, width, height] = bbox!
        expect([x, y, x + width, y + height]).toEqual(mask.box)
      }
    }
  })

  it('is the same text as a whole and in pieces', () => {
    const coco = new CocoVideo({ ...info, fileNames: ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg'] })
    expect(JSON.parse([...coco.chunks()].join(''))).toEqual(JSON.parse(JSON.stringify(coco)))
    expect(coco.toJSON()).toMatchObject({ annotations: [], videos: [{ length: 0 }] })
    for (const frame of frames) coco.add(frame)
    expect(JSON.parse([...coco.chunks()].join(''))).toEqual(JSON.parse(JSON.stringify(coco)))
    expect(coco.toJSON().videos[0]!.file_names).toEqual(['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg'])
  })

  it('a second result for a frame replaces the first; what is not seen has no entry', () => {
    const coco = new CocoVideo(info)
    const nothing = Mask.fromBitmap(new Uint8Array(WIDTH * HEIGHT), WIDTH, HEIGHT)
    coco.add(frames[0]!)
    coco.add({ frameIndex: 0, objects: [object(3), object(4, { mask: nothing })] })
    expect(coco.toJSON().annotations.map(({ id, track_id }) => [id, track_id])).toEqual([[1, 3]])
  })

  it('lists the categories given, with ids that do not depend on what was found', () => {
    const categories = ['cat', 'bird', 'dog', 'object']
    const of = (some: readonly ExportedFrame[]) => {
      const coco = new CocoVideo({ ...info, categories })
      for (const frame of some) coco.add(frame)
      return coco.toJSON()
    }
    expect(of(frames).annotations.map(({ track_id, category_id }) => [track_id, category_id])).toEqual([
      [0, 3],
      [1, 1],
      [7, 4],
    ])
    expect(of([]).categories).toEqual(of(frames).categories)
    expect(of([]).categories.map(({ id, name }) => [id, name])).toEqual(
      categories.map((name, index) => [index + 1, name]),
    )

    const coco = new CocoVideo({ ...info, categories: ['cat'] })
    coco.add(frames[1]!)
    expect(() => coco.add({ ...frames[0]!, frameIndex: 1 })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
    )
    expect(coco.toJSON().annotations[0]!.areas[1]).toBe(frames[1]!.objects[0]!.mask.area) // what was there is kept
  })

  it('writes run lengths as numbers or as text, and results as text', () => {
    const [numbers, text] = (['list', 'string'] as const).map((counts) => {
      const coco = new CocoVideo({ ...info, counts })
      for (const frame of frames) coco.add(frame)
      return coco
    })
    const counts = (coco: CocoVideo) =>
      coco.toJSON().annotations.map(({ segmentations }) => segmentations.map((rle) => rle?.counts ?? null))
    const rles = [0, 1, 7].map((id) =>
      [0, 1, 2, 3].map(
        (index) =>
          frames
            .find(({ frameIndex }) => frameIndex === index)
            ?.objects.find((one) => one.id === id)
            ?.mask.toRle() ?? null,
      ),
    )
    expect(counts(text!)).toEqual(rles.map((of) => of.map((rle) => rle?.counts ?? null)))
    for (const runs of counts(numbers!).flat()) {
      if (runs === null) continue
      expect((runs as number[]).reduce((sum, run) => sum + run, 0)).toBe(WIDTH * HEIGHT)
    }
    expect(numbers!.results()).toEqual(text!.results())
    expect(numbers!.results()).toEqual(
      rles.map((segmentations, index) => ({
        video_id: 1,
        category_id: index + 1,
        score: index === 2 ? 1 : 0.75,
        segmentations,
      })),
    )
  })

  it('refuses masks of another size and unusable videos', () => {
    const coco = new CocoVideo({ ...info, width: WIDTH + 1 })
    expect(() => coco.add(frames[0]!)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_MASK' }))
    for (const bad of [
      { fileName: '' },
      { width: 0 },
      { height: 1.5 },
      { frameCount: -1 },
      { counts: 'rle' as 'list' },
    ])
      expect(() => new CocoVideo({ ...info, ...bad })).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
      )
  })
})

describe('MotText', () => {
  const box = [2, 3.126, 10.5, 9] as const
  const first: ExportedFrame = {
    frameIndex: 0,
    objects: [object(0, { box: [...box] }), object(5, { prompt: 'cat', box: [0, 0, 1, 1] })],
  }
  const later: ExportedFrame = {
    frameIndex: 41,
    objects: [object(9, { prompt: undefined, trackerScore: 1, box: [-3, 0, 4, 2] })],
  }
  const nothing = Mask.fromBitmap(new Uint8Array(WIDTH * HEIGHT), WIDTH, HEIGHT)

  it('writes results without a class; frames, ids and pixels are counted from 1', () => {
    const mot = new MotText()
    expect(mot.lines(first)).toBe('1,1,3,4.13,8.5,5.87,0.123457,-1,-1,-1\n1,6,1,1,1,1,0.123457,-1,-1,-1\n')
    expect(mot.lines(later)).toBe('42,10,-2,1,7,2,1,-1,-1,-1\n')
    expect(mot.lines({ frameIndex: 2, objects: [] })).toBe('')
    expect(mot.classes).toEqual([])
  })

  it('writes ground truth with a flag that counts, a class and a visibility', () => {
    const mot = new MotText({ format: 'ground-truth' })
    expect(mot.lines(first)).toBe('1,1,3,4.13,8.5,5.87,1,1,1\n1,6,1,1,1,1,1,2,1\n')
    expect(mot.lines(later)).toBe('42,10,-2,1,7,2,1,3,1\n')
    expect(mot.classes).toEqual(['dog', 'cat', 'object'])
  })

  it('numbers the classes as given, and refuses others', () => {
    const mot = new MotText({ format: 'ground-truth', classes: ['bird', 'cat', 'dog'] })
    expect(mot.lines(first)).toBe('1,1,3,4.13,8.5,5.87,1,3,1\n1,6,1,1,1,1,1,2,1\n')
    expect(mot.classes).toEqual(['bird', 'cat', 'dog'])
    expect(() => mot.lines(later)).toThrow(
      expect.objectContaining({
        code: 'ERR_INVALID_ARGUMENT',
        message: expect.stringContaining("'object' is none of"),
      }),
    )
  })

  it('writes each frame once, and no line for an object without a box', () => {
    const mot = new MotText()
    expect(
      mot.lines({ frameIndex: 100_000, objects: [object(3), object(4, { mask: nothing, box: [0, 0, 0, 0] })] }),
    ).toMatch(/^100001,4,[^\n]*\n$/)
    expect(mot.lines({ frameIndex: 100_000, objects: [object(3)] })).toBe('')
    for (const frameIndex of [99_999, 100_001, 0, 7]) expect(mot.lines({ ...first, frameIndex })).not.toBe('')
    for (const frameIndex of [0, 7, 99_999]) expect(mot.lines({ ...first, frameIndex })).toBe('')
  })

  it.each<[string, object]>([
    ['an unknown format', { format: 'gt' }],
    ['an unknown option', { categories: ['dog'] }],
    ['classes with numbers of their own', { classes: [{ id: 3, name: 'dog' }] }],
    ['a class twice', { classes: ['dog', 'dog'] }],
  ])('refuses %s', (_what, options) => {
    expect(() => new MotText(options)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }))
  })
})

describe('motSequenceInfo', () => {
  const sequence = { name: 'walk', width: 640, height: 480, frameCount: 90, frameRate: 29.97 }

  it('is a seqinfo.ini, with a whole frame rate', () => {
    expect(motSequenceInfo(sequence)).toBe(
      '[Sequence]\nname=walk\nimDir=img1\nframeRate=30\nseqLength=90\nimWidth=640\nimHeight=480\nimExt=.jpg\n',
    )
    expect(motSequenceInfo({ ...sequence, name: 'a\nb', frameRate: 0.2 })).toContain(
      'name=a b\nimDir=img1\nframeRate=1\n',
    )
  })

  it.each<object>([{ name: '' }, { frameCount: undefined }, { frameCount: 0 }, { width: 1.5 }, { frameRate: 0 }])(
    'refuses %o',
    (bad) => {
      expect(() => motSequenceInfo({ ...sequence, ...bad })).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
      )
    },
  )
})
