/** Clicks, boxes and mask inputs through the public API, against what the reference computed on the same weights in fp32. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Box,
  buildSam3ImageModel,
  type Point,
  type PointPrompt,
  type Prediction,
  type Sam3ImageModel,
} from '../../../lib/index.js'
import { flippedBits, largestDifference } from '../../support/compare.js'
import { exactImagePath, leftOut, replay, replayedWeights, tensorsOf } from '../../support/golden-set.js'
import type { SafetensorsFile } from '../../support/safetensors.js'
import { comparesToGolden, here, within } from '../../support/where.js'

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

/** Whether a case asks for several objects at once. */
const isBatch = ({ point_coords: points, box }: Pick<ClickCase, 'point_coords' | 'box'>) =>
  Array.isArray(points?.[0]?.[0]) || Array.isArray(box?.[0])

const IOU = within(2e-5)
const LOGIT = within(5e-4)

describe.skipIf(!comparesToGolden)('in float32', () =>
  replay<GoldenClicks>('predict against the reference', 'interactive', (golden) => {
    let tensors: SafetensorsFile
    let model: Sam3ImageModel
    beforeAll(async () => {
      tensors = tensorsOf('interactive')
      model = await buildSam3ImageModel({ model: replayedWeights[0]!.path, ...here })
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
      const batched = isBatch({ point_coords: points, box })
      const size = batched ? (points ?? box)!.length : 1
      return Array.from({ length: size }, (_, row) => {
        const pick = <T>(value: T | T[]) => (batched ? (value as T[])[row]! : (value as T))
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
      const image = await model.encode(exactImagePath(case_.image))
      const list = prompts(case_)
      compare(list.length === 1 ? [await image.predict(list[0]!)] : await image.predict(list), case_)
      image.dispose()
    })

    it('prompts of all kinds in one call, with three masks and with one, give the same answers', async () => {
      const cases = golden.cases.filter(({ image }) => image === golden.cases[0]!.image)
      const lists = cases.map(prompts)
      const answers = await model.predict(exactImagePath(cases[0]!.image), lists.flat())
      cases.forEach((case_, index) => {
        compare(answers.splice(0, lists[index]!.length), case_)
      })
    })

    // Of a case alone: the masks of a batch are numbered differently.
    const fed = golden.cases.find(({ mask_input_from: from }) => from && singleCase(from[0]))
    function singleCase(wanted: string): ClickCase | undefined {
      return golden.cases.find((case_) => case_.name === wanted && !isBatch(case_))
    }
    if (!fed) leftOut('interactive case that is fed the logits of another')
    else {
      it('takes the logits of a prediction as they come', async () => {
        const [source, index] = fed.mask_input_from!
        const image = await model.encode(exactImagePath(fed.image))
        const first = await image.predict(prompts(singleCase(source)!)[0]!)
        const prompt = { ...prompts(fed)[0]!, maskInput: first.masks[index]!.logits! }
        compare([await image.predict(prompt)], fed)
        image.dispose()
      })
    }
  }),
)
