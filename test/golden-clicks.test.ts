/** Clicks, boxes and mask inputs through the public API, against what the reference computed on the same weights in fp32. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Box,
  buildSam3ImageModel,
  type Point,
  type PointPrompt,
  type Prediction,
  type Sam3ImageModel,
} from '../lib/index.js'
import { flippedBits, largestDifference } from './support/compare.js'
import { goldenModels, goldenRoot } from './support/paths.js'
import { SafetensorsFile } from './support/safetensors.js'
import { comparesToGolden, here, within } from './support/where.js'

interface ClickCase {
  name: string
  image: string
  image_wh: [number, number]
  mask_input_from: [string, number] | null
  point_coords?: Point[] | Point[][]
  point_labels?: (0 | 1)[] | (0 | 1)[][]
  box?: Box | Box[]
  multimask_output: boolean
  normalize_coords?: boolean
}
interface GoldenClicks {
  low_res: number
  cases: ClickCase[]
}

const IOU = within(2e-5)
const LOGIT = within(5e-4)
const golden = JSON.parse(
  goldenRoot ? readFileSync(`${goldenRoot}/cases/interactive.json`, 'utf8') : '{"cases":[]}',
) as GoldenClicks

describe.skipIf(!goldenRoot || !comparesToGolden)('predict against the reference', () => {
  let tensors: SafetensorsFile
  let model: Sam3ImageModel
  beforeAll(async () => {
    tensors = new SafetensorsFile(`${goldenRoot}/cases/interactive.safetensors`)
    model = await buildSam3ImageModel({ model: goldenModels.safetensors, ...here })
  })
  afterAll(() => model.dispose())

  /** The prompts of a case: one, or one per row of a batch. */
  function prompts({
    point_coords: points,
    point_labels: labels,
    box,
    mask_input_from: from,
    ...rest
  }: ClickCase): PointPrompt[] {
    const isBatch = Array.isArray(points?.[0]?.[0]) || Array.isArray(box?.[0])
    const size = isBatch ? (points ?? box)!.length : 1
    return Array.from({ length: size }, (_, row) => {
      const pick = <T>(value: T | T[]) => (isBatch ? (value as T[])[row]! : (value as T))
      const prompt: PointPrompt = { multimask: rest.multimask_output, normalized: rest.normalize_coords === false }
      if (points) prompt.points = pick<Point[]>(points as Point[])
      if (labels) prompt.labels = pick<(0 | 1)[]>(labels as (0 | 1)[])
      if (box) prompt.box = pick<Box>(box as Box)
      if (from) {
        const side = golden.low_res
        prompt.maskInput = tensors
          .floats(`${from[0]}.low_res`)
          .slice(from[1] * side * side, (from[1] + 1) * side * side)
      }
      return prompt
    })
  }

  function compare(predictions: Prediction[], { name, image_wh: [width, height] }: ClickCase): void {
    const masks = predictions.flatMap((prediction) => prediction.masks)
    expect(
      largestDifference(
        predictions.flatMap(({ scores }) => scores),
        tensors.floats(`${name}.ious`),
      ),
    ).toBeLessThan(IOU)
    expect(
      largestDifference(
        predictions.map(({ objectScore }) => objectScore),
        tensors.floats(`${name}.object_score_logits`),
      ),
    ).toBeLessThan(LOGIT)
    const lowRes = tensors.floats(`${name}.low_res`)
    const packedLength = Math.ceil((width * height) / 8)
    const bits = tensors.bytes(`${name}.masks.bits`)
    expect(bits).toHaveLength(masks.length * packedLength)
    masks.forEach((mask, index) => {
      const cells = mask.logits!.data.length
      expect(largestDifference(mask.logits!.data, lowRes.subarray(index * cells, (index + 1) * cells))).toBeLessThan(
        LOGIT,
      )
      const flipped = flippedBits(mask.toPacked(), bits.subarray(index * packedLength, (index + 1) * packedLength))
      expect(flipped).toBeLessThanOrEqual(within(1) + within(1e-4) * width * height)
    })
    for (const { best, masks, scores } of predictions) {
      expect(best.score).toBe(Math.max(...scores))
      expect(masks[scores.indexOf(best.score)]).toBe(best.mask)
    }
  }

  it.each(golden.cases)('$name', async (case_) => {
    const image = await model.encode(`${goldenRoot}/images/${case_.image}`)
    const list = prompts(case_)
    compare(list.length === 1 ? [await image.predict(list[0]!)] : await image.predict(list), case_)
    image.dispose()
  })

  it('prompts of all kinds in one call, with three masks and with one, give the same answers', async () => {
    const cases = golden.cases.filter(({ image }) => image === golden.cases[0]!.image)
    const lists = cases.map(prompts)
    const answers = await model.predict(`${goldenRoot}/images/${cases[0]!.image}`, lists.flat())
    cases.forEach((case_, index) => {
      compare(answers.splice(0, lists[index]!.length), case_)
    })
  })

  it('takes the logits of a prediction as they come', async () => {
    const image = await model.encode(`${goldenRoot}/images/${golden.cases[0]!.image}`)
    const first = await image.predict({ points: [[256.4, 213.5]], labels: [1] })
    const byObject = await image.predict({ maskInput: first.masks[0]!.logits! })
    compare([byObject], golden.cases.find(({ name }) => name === 'mask_in_only')!)
    image.dispose()
  })
})
