/** The demo model, pictures that it was not trained on, and what is true of them (`python -m scripts.tiny fixtures`). */
import { readFileSync } from 'node:fs'
import {
  buildSam3VideoModel,
  type CocoRle,
  Mask,
  type Sam3VideoModel,
  type VideoModelOptions,
} from '../../lib/index.js'
import { repositoryRoot } from './paths.js'
import { here } from './where.js'

const folder = `${repositoryRoot}/test/fixtures/demo`

interface Truth {
  scenes: {
    file: string
    objects: CocoRle[]
    questions: { text: string; objects: number[] }[]
  }[]
  scene: { shows: string; mask: CocoRle }[]
  clip: { shows: string; masks: (CocoRle | null)[] }[]
}

const truth = JSON.parse(readFileSync(`${folder}/truth.json`, 'utf8')) as Truth

/** Held-out scenes with questions, each with the masks of all that it asks for. */
export const heldOut = truth.scenes.map(({ file, objects, questions }) => ({
  file: `${folder}/${file}`,
  objects: objects.map((rle) => Mask.fromRle(rle)),
  questions: questions.map((question) => ({
    text: question.text,
    masks: question.objects.map((index) => Mask.fromRle(objects[index]!)),
  })),
}))

/** The picture of `npm run demo`. */
export const scene = {
  file: `${repositoryRoot}/examples/scene.jpg`,
  objects: truth.scene.map(({ shows, mask }) => ({ shows, mask: Mask.fromRle(mask) })),
}

/** The clip of `npm run demo`: a dog walks, a ball leaves and returns. An object's mask is null where it is not seen. */
export const clip = {
  folder: `${repositoryRoot}/examples/clip`,
  objects: truth.clip.map(({ shows, masks }) => ({
    shows,
    masks: masks.map((rle) => (rle ? Mask.fromRle(rle) : null)),
  })),
}

/** The model, where and in which dtype the tests run. */
export function buildDemoModel(options: VideoModelOptions = {}): Promise<Sam3VideoModel> {
  return buildSam3VideoModel({ model: 'demo', ...here, ...options })
}

/** What two masks share, over what they cover together. */
export function iou(a: Mask, b: Mask): number {
  const [one, other] = [a.toBitmap(), b.toBitmap()]
  const shared = one.reduce((sum, value, at) => sum + (value & other[at]!), 0)
  return shared / Math.max(1, a.area + b.area - shared)
}

/** Which of the true masks each found one is, best overlap first and above a half, each once; undefined: none. */
export function matchMasks(
  found: readonly Mask[],
  real: readonly Mask[],
): ({ index: number; iou: number } | undefined)[] {
  const pairs = found.flatMap((mask, at) => real.map((other, index) => ({ at, index, iou: iou(mask, other) })))
  const matches: ({ index: number; iou: number } | undefined)[] = found.map(() => undefined)
  for (const { at, index, iou } of pairs.toSorted((a, b) => b.iou - a.iou)) {
    if (iou < 0.5 || matches[at] || matches.some((match) => match?.index === index)) continue
    matches[at] = { index, iou }
  }
  return matches
}

/** Mean of a list. */
export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** The middle of a pixel of a mask that is far from its edge: where a person would click. */
export function inside(mask: Mask): [x: number, y: number] {
  let layer = mask.toBitmap()
  const { width, height } = mask
  for (;;) {
    const last = layer
    layer = last.map((value, at) => {
      const x = at % width
      const isEdge = x === 0 || x === width - 1 || at < width || at >= width * (height - 1)
      return isEdge ? 0 : value & last[at - 1]! & last[at + 1]! & last[at - width]! & last[at + width]!
    })
    if (!layer.includes(1)) {
      const at = last.indexOf(1)
      return [(at % width) + 0.5, Math.floor(at / width) + 0.5]
    }
  }
}
