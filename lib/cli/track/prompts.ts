/** What is to be followed, as `track` is told of it: texts, and clicks or boxes on objects. */
import { InvalidArgumentError } from 'commander'
import type { ObjectPoints } from '../../video/session/prompts.js'
import type { PromptLabel } from '../../prompt/types.js'
import type { Box, Point } from '../../geometry/types.js'

/** A click or a box of the command line. */
export interface Mark {
  frame: number
  /** As it was given, or undefined: the points are one object, each box is another. */
  object: number | undefined
  point?: Point
  label?: PromptLabel
  box?: Box
}

const POINT_FORM = 'frame:x,y, with :0 behind it beside the object, and @id for another object than the first'
const BOX_FORM = 'frame:x0,y0,x1,y1, perhaps with @id behind it'
const NUMBER = String.raw`\s*(-?\d+(?:\.\d+)?)\s*`

/** `12:520,375`, `12:610,380:0`, `12:610,380@3` */
export function parseMarkedPoint(text: string, previous: Mark[] = []): Mark[] {
  const found = new RegExp(`^(\\d+):${NUMBER},${NUMBER}(?::([01]))?(?:@(\\d+))?$`).exec(text)
  if (!found) throw new InvalidArgumentError(`Write it as ${POINT_FORM}.`)
  const [, frame, x, y, label = '1', object] = found
  const mark: Mark = {
    frame: Number(frame),
    object: object === undefined ? undefined : Number(object),
    point: [Number(x), Number(y)],
    label: label === '1' ? 1 : 0,
  }
  return [...previous, mark]
}

/** `0:10,20,200,300`, `0:10,20,200,300@3` */
export function parseMarkedBox(text: string, previous: Mark[] = []): Mark[] {
  const found = new RegExp(`^(\\d+):${NUMBER},${NUMBER},${NUMBER},${NUMBER}(?:@(\\d+))?$`).exec(text)
  if (!found) throw new InvalidArgumentError(`Write it as ${BOX_FORM}.`)
  const [, frame, x0, y0, x1, y1, object] = found
  const box: Box = [Number(x0), Number(y0), Number(x1), Number(y1)]
  return [...previous, { frame: Number(frame), object: object === undefined ? undefined : Number(object), box }]
}

/**
 * Clicks and boxes as prompts, those of one object and frame together, in the order of the frames. Points without an id
 * are one object; each box without one is another; their ids count from `firstId`.
 */
export function objectPrompts(points: readonly Mark[], boxes: readonly Mark[], firstId: number): ObjectPoints[] {
  const taken = new Set([...points, ...boxes].map(({ object }) => object))
  let last = firstId - 1
  const fresh = () => {
    do last++
    while (taken.has(last))
    return last
  }
  const clicked = points.some(({ object }) => object === undefined) ? fresh() : 0
  const marks = [
    ...points.map((mark) => ({ ...mark, object: mark.object ?? clicked })),
    ...boxes.map((mark) => ({ ...mark, object: mark.object ?? fresh() })),
  ]
  const prompts = new Map<string, ObjectPoints & { points: Point[]; labels: PromptLabel[] }>()
  for (const { frame, object, point, label, box } of marks) {
    const key = `${frame} ${object}`
    const prompt = prompts.get(key) ?? { frameIndex: frame, objectId: object, points: [], labels: [] }
    prompts.set(key, prompt)
    if (point) {
      prompt.points.push(point)
      prompt.labels.push(label!)
    }
    if (box) prompt.box = box
  }
  return [...prompts.values()].sort((a, b) => a.frameIndex - b.frameIndex)
}
