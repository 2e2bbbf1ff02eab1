/**
 * The device and dtype that SAM3_TEST_DEVICE and SAM3_TEST_DTYPE name (by default the CPU in bfloat16) against the CPU
 * in float32, which the goldens hold to the reference. scripts/gpu-check runs this on a GPU.
 */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type {
  Box,
  Dtype,
  ImageModelOptions,
  Instance,
  PointPrompt,
  Prediction,
  Prompt,
  Sam3ImageModel,
  Segmentation,
} from '../../../lib/index.js'
import { flippedBits, largestDifference } from '../../support/compare.js'
import { buildTestModel, noiseImage } from '../../support/model.js'
import { goldenRoot } from '../../support/paths.js'

interface GoldenCase {
  name: string
  image: string
  text: string | null
  boxes: [[number, number, number, number], 0 | 1][] | null
}

const device = (process.env.SAM3_TEST_DEVICE ?? 'cpu') as ImageModelOptions['device']
const dtype = (process.env.SAM3_TEST_DTYPE ?? 'bfloat16') as Dtype
const REFERENCE = { device: 'cpu', dtype: 'float32' } as const

/**
 * How far a dtype may be off: scores, boxes (share of the image), shares of pixels; all as means over a result, since
 * single queries of a random network sit on a knife's edge. float32 leaves room for another order of summation.
 */
const LIMITS = {
  float32: { score: 2e-4, box: 2e-4, pixels: 1e-3, iou: 2e-4 },
  float16: { score: 0.006, box: 0.002, pixels: 0.005, iou: 0.005 },
  bfloat16: { score: 0.06, box: 0.01, pixels: 0.02, iou: 0.03 },
}
const limits = LIMITS[dtype as keyof typeof LIMITS]

const golden = JSON.parse(readFileSync(`${goldenRoot}/cases/image.json`, 'utf8')) as {
  cases: GoldenCase[]
}
const cases = golden.cases.filter(({ name }) => !name.startsWith('thr_'))

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

function toPrompt({ text, boxes }: GoldenCase): Prompt {
  const exemplars = boxes?.map(([[cx, cy, w, h], label]) => ({
    box: [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2] as Box,
    label,
  }))
  return { text: text ?? undefined, boxes: exemplars, normalized: true, threshold: 0 }
}

/** The instance of the same query: the one whose box is nearest. */
function counterpart(instance: Instance, among: Instance[]): Instance {
  const distances = among.map(({ box }) => largestDifference(box, instance.box))
  return among[distances.indexOf(Math.min(...distances))]!
}

/** Of the cells where a mask's logit is above -0.05, the share where it is above 0.05: SAM's measure of a stable mask. */
function stability({ best }: Prediction): number {
  const { data } = best.mask.logits!
  return data.filter((logit) => logit > 0.05).length / data.filter((logit) => logit > -0.05).length
}

describe(`${device} in ${dtype} against the CPU in float32`, () => {
  let subject: Sam3ImageModel
  let reference: Sam3ImageModel
  beforeAll(async () => {
    subject = await buildTestModel({ device, dtype })
    reference = await buildTestModel(REFERENCE)
  })
  afterAll(async () => {
    await subject.dispose()
    await reference.dispose()
  })

  function compare(ours: Segmentation, expected: Segmentation): void {
    const { width, height } = expected
    const pairs = expected.instances.map((instance) => [instance, counterpart(instance, ours.instances)] as const)
    expect(ours.instances).toHaveLength(expected.instances.length)
    expect(Math.abs(ours.presence - expected.presence)).toBeLessThan(limits.score)
    expect(mean(pairs.map(([a, b]) => Math.abs(a.score - b.score)))).toBeLessThan(limits.score)
    const relative = (box: Box) => box.map((value, i) => value / (i % 2 ? height : width))
    const boxes = pairs.map(([a, b]) => largestDifference(relative(a.box), relative(b.box)))
    expect(mean(boxes)).toBeLessThan(limits.box)
    const flipped = pairs.map(([a, b]) => flippedBits(a.mask.toPacked(), b.mask.toPacked()) / (width * height))
    expect(mean(flipped)).toBeLessThan(limits.pixels)
  }

  it('runs where it was asked to', () => {
    expect(subject.info.device.startsWith(device!)).toBe(true)
    expect(subject.info.dtype).toBe(dtype)
  })

  it.each(cases)('$name', async (case_) => {
    const image = `${goldenRoot}/images/${case_.image}`
    compare(await subject.segment(image, toPrompt(case_)), await reference.segment(image, toPrompt(case_)))
  })

  it('a batch of images with several prompts each', async () => {
    const items = ['shapes_641x427.png', 'square_300.png', 'gray_320x200.png'].map((name, index) => ({
      image: `${goldenRoot}/images/${name}`,
      prompts: cases.slice(index, index + 4).map(toPrompt),
    }))
    const [ours, expected] = [await subject.segmentBatch(items), await reference.segmentBatch(items)]
    ours.forEach((results, item) => {
      results.forEach((result, prompt) => {
        compare(result, expected[item]![prompt]!)
      })
    })
  })

  const image = `${goldenRoot}/images/shapes_641x427.png`
  const clicked: PointPrompt = { points: [[256.4, 213.5]], labels: [1] }
  const boxed: PointPrompt = { box: [180, 200, 420, 380] }

  function comparePoints(ours: Prediction, expected: Prediction): void {
    expect(largestDifference(ours.scores, expected.scores)).toBeLessThan(limits.iou)
    const pixels = ours.width * ours.height
    const flipped = ours.masks.map((mask, i) => flippedBits(mask.toPacked(), expected.masks[i]!.toPacked()) / pixels)
    expect(mean(flipped)).toBeLessThan(limits.pixels)
  }

  it('clicks, boxes and mask inputs', async () => {
    for (const prompt of [clicked, boxed]) {
      const first = await reference.predict(image, prompt)
      comparePoints(await subject.predict(image, prompt), first)
      const again = { ...prompt, maskInput: first.best.mask.logits! }
      comparePoints(await subject.predict(image, again), await reference.predict(image, again))
    }
  })

  // One mask is answered by the first of four where that is stable, else by the best of the others. In this network the
  // first is stable by a hair or not, so a rounding decides: not that both models choose the same is asked, but that each
  // follows the rule.
  it('a single mask', async () => {
    const maskInput = (await reference.predict(image, boxed)).best.mask.logits!
    const twice: PointPrompt = {
      points: [
        [256.4, 213.5],
        [500, 80],
      ],
      labels: [1, 0],
    }
    const prompts = [clicked, twice, boxed, { ...boxed, maskInput }]
    let same = 0
    for (const prompt of prompts) {
      const answer = async (model: Sam3ImageModel) => {
        const single = await model.predict(image, { ...prompt, multimask: false })
        const isBest = single.scores[0] === (await model.predict(image, prompt)).best.score
        if (!isBest) expect(stability(single)).toBeGreaterThanOrEqual(0.98)
        return { single, isBest }
      }
      const [ours, expected] = [await answer(subject), await answer(reference)]
      if (ours.isBest !== expected.isBest) continue
      same++
      comparePoints(ours.single, expected.single)
    }
    expect(same).toBeGreaterThan(0)
  })

  it('other input sizes', async () => {
    const size = 2 * subject.info.inputSize
    const [large, largeReference] = await Promise.all([
      buildTestModel({ device, dtype, inputSize: size }),
      buildTestModel({ ...REFERENCE, inputSize: size }),
    ])
    const image = noiseImage(500, 300)
    compare(await large.segment(image, toPrompt(cases[0]!)), await largeReference.segment(image, toPrompt(cases[0]!)))
    await Promise.all([large.dispose(), largeReference.dispose()])
  })

  it('a result asked for twice is the same twice', async () => {
    const image = `${goldenRoot}/images/square_300.png`
    const [once, twice] = [
      await subject.segment(image, toPrompt(cases[0]!)),
      await subject.segment(image, toPrompt(cases[0]!)),
    ]
    expect(
      largestDifference(
        once.instances.map(({ score }) => score),
        twice.instances.map(({ score }) => score),
      ),
    ).toBeLessThan(1e-6)
  })
})
