/** Results of a video as COCO's format for videos and as MOT text. */
import { describe, expect, it } from 'vitest'
import { Mask } from '../../lib/index.js'
import { CocoVideo } from '../../lib/video/export/coco-video.js'
import { MotText } from '../../lib/video/export/mot.js'
import type { ExportedObject } from '../../lib/video/export/types.js'
import { randomBitmap, seededRandom } from '../support/random.js'

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

  it('refuses masks of another size and unusable videos', () => {
    const coco = new CocoVideo({ ...info, width: WIDTH + 1 })
    expect(() => coco.add(frames[0]!)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_MASK' }))
    for (const bad of [{ fileName: '' }, { width: 0 }, { height: 1.5 }, { frameCount: -1 }])
      expect(() => new CocoVideo({ ...info, ...bad })).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
      )
  })
})

it('MotText has a line for each object and frame, all counted from 1 but the ids', () => {
  const mot = new MotText()
  const box = [2, 3.126, 10.5, 9] as const
  expect(
    mot.lines({
      frameIndex: 0,
      objects: [object(0, { box: [...box] }), object(5, { prompt: 'cat', box: [0, 0, 1, 1] })],
    }),
  ).toBe('1,0,3,4.13,8.5,5.87,0.123457,1,1\n1,5,1,1,1,1,0.123457,2,1\n')
  expect(
    mot.lines({ frameIndex: 41, objects: [object(9, { prompt: undefined, trackerScore: 1, box: [-3, 0, 4, 2] })] }),
  ).toBe('42,9,-2,1,7,2,1,3,1\n')
  expect(mot.lines({ frameIndex: 2, objects: [] })).toBe('')
  expect(mot.classes).toEqual(['dog', 'cat', 'object'])
})
