/** Text and exemplar prompts through the public API, against what the reference computed on the same weights in fp32. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  buildSam3ImageModel,
  type Instance,
  type Prompt,
  type Sam3ImageModel,
  type Segmentation,
} from '../../../lib/index.js'
import { descending, flippedBits, largestDifference, resizeBilinear } from '../../support/compare.js'
import { NEAR_TIE } from '../../support/near-ties.js'
import { exactImagePath, leftOut, replay, replayedWeights, tensorsOf, warningsFor } from '../../support/golden-set.js'
import { replayedModels } from '../../support/paths.js'
import type { SafetensorsFile } from '../../support/safetensors.js'
import { comparesToGolden, here, within } from '../../support/where.js'

type GoldenBox = [[number, number, number, number], 0 | 1]
interface GoldenCase {
  name: string
  image: string
  text: string | null
  boxes: GoldenBox[] | null
  threshold: number
  kept: number
  final_masks_stored: number
  frac_pixels_prob_within_1e_4_of_half: number
}
interface GoldenImages {
  low_res: number
  images: Record<string, { width: number; height: number; mode: string }>
  cases: GoldenCase[]
  batch?: {
    images: string[]
    texts: string[]
    img_ids: number[]
    text_ids: number[]
    boxes: Record<string, GoldenBox[]>
  }
}

type Size = GoldenImages['images'][string]

/** The id that fills rows of tokens. */
const PADDING = 0
/** Largest differences that pass in float32. */
const SCORE = within(2e-5)
const BOX = within(1e-5)
const LOGIT = within(5e-4)

function toPrompt(text: string | null | undefined, boxes: GoldenBox[] | null | undefined): Prompt {
  const prompt: Prompt = { normalized: true, logits: true, semantic: true }
  if (text) prompt.text = text
  if (boxes) {
    prompt.boxes = boxes.map(([[cx, cy, w, h], label]) => ({
      box: [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2],
      label,
    }))
  }
  return prompt
}

/** A box as shares of the image. */
const relative = (box: ArrayLike<number>, { width, height }: { width: number; height: number }) =>
  Array.from(box, (value, i) => value / (i % 2 ? height : width))

/** One case of each kind of prompt, with instances where there is one: a text, boxes, both. */
function oneOfEachKind(cases: GoldenCase[]): GoldenCase[] {
  const kinds = new Map<string, GoldenCase>()
  for (const case_ of [...cases].sort((a, b) => Number(b.kept > 0) - Number(a.kept > 0))) {
    const kind = `${case_.text !== null} ${case_.boxes !== null}`
    if (!kinds.has(kind)) kinds.set(kind, case_)
  }
  return [...kinds.values()]
}

describe.skipIf(!comparesToGolden)('in float32', () =>
  replay<GoldenImages>('segment against the reference', 'image', (golden) => {
    const byImage = new Map<string, GoldenCase[]>()
    for (const case_ of golden.cases) byImage.set(case_.image, [...(byImage.get(case_.image) ?? []), case_])
    let tensors: SafetensorsFile
    let model: Sam3ImageModel
    beforeAll(async () => {
      tensors = tensorsOf('image')
      model = await buildSam3ImageModel({ model: replayedWeights[0]!.path, ...here })
    })
    afterAll(() => model.dispose())

    /**
     * Our instances in the order of the reference's queries that were kept, highest score first. Where scores are closer
     * than the tolerance the order may differ: of those the nearest box is the counterpart.
     */
    function counterparts(
      instances: Instance[],
      scores: Float32Array,
      boxOf: (query: number) => number[],
      image: Size,
    ) {
      const left = [...instances]
      return descending(scores).map((query) => {
        const near = left.filter(({ score }) => Math.abs(score - scores[query]!) < SCORE)
        expect(near, `instances with the score ${scores[query]}`).not.toHaveLength(0)
        const distance = ({ box }: Instance) => largestDifference(relative(box, image), boxOf(query))
        const instance = near.reduce((best, other) => (distance(other) < distance(best) ? other : best))
        expect(distance(instance)).toBeLessThan(BOX)
        left.splice(left.indexOf(instance), 1)
        return { query, instance }
      })
    }

    function compare(result: Segmentation, golden_: GoldenCase): void {
      const key = (name: string) => `case.${golden_.name}.${name}`
      const image = golden.images[golden_.image]!
      const { width, height } = image
      expect(result).toMatchObject({ width, height })
      expect(result.warnings).toEqual(warningsFor(golden_.text))
      if (result.warnings.length > 0) expect(tensors.integers(key('token_ids'))).not.toContain(PADDING)
      const scores = tensors.floats(key('joint_scores'))
      const tie = scores.find((score) => golden_.threshold > 0 && Math.abs(score - golden_.threshold) < NEAR_TIE)
      if (tie !== undefined) {
        console.log(`${golden_.name}: near tie, a score of ${tie} at the threshold ${golden_.threshold}: not compared`)
        return
      }
      expect(result.instances).toHaveLength(golden_.kept)
      const presence = 1 / (1 + Math.exp(-tensors.floats(key('presence_logit'))[0]!))
      expect(Math.abs(result.presence - presence)).toBeLessThan(SCORE)
      const side = golden.low_res

      // The semantic map is squashed to 0..1 before it is resized, unlike the masks.
      const probabilities = tensors.floats(key('semantic_seg')).map((logit) => 1 / (1 + Math.exp(-logit)))
      const semantic = resizeBilinear(probabilities, side, width, height)
      const ours = result.semantic!.toBitmap()
      const wrong = semantic.filter(
        (p, index) => (p > 0.5 ? 1 : 0) !== ours[index] && Math.abs(p - 0.5) > within(2.5e-4),
      )
      expect(wrong).toHaveLength(0)

      if (golden_.kept === 0) return
      const boxes = tensors.floats(key('final_boxes_xyxy'))
      const logits = tensors.floats(key('mask_logits_kept'))
      const packedLength = Math.ceil((width * height) / 8)
      const bits = golden_.final_masks_stored > 0 ? tensors.bytes(key('final_masks.bits')) : new Uint8Array()
      // Pixels whose logit is within 1e-3 of zero may flip; 1e-4 in probability is 4e-4 in logit.
      const mayFlip = within(1) + within(2.5) * golden_.frac_pixels_prob_within_1e_4_of_half * width * height
      const boxOf = (query: number) => relative(boxes.subarray(query * 4, query * 4 + 4), image)
      for (const { query, instance } of counterparts(
        result.instances,
        tensors.floats(key('final_scores')),
        boxOf,
        image,
      )) {
        const { mask } = instance
        if ((query + 1) * side * side <= logits.length) {
          const expected = logits.subarray(query * side * side, (query + 1) * side * side)
          expect(largestDifference(mask.logits!.data, expected)).toBeLessThan(LOGIT)
        }
        if (query < golden_.final_masks_stored) {
          const flipped = flippedBits(mask.toPacked(), bits.subarray(query * packedLength, (query + 1) * packedLength))
          expect(flipped).toBeLessThanOrEqual(mayFlip)
        }
        expect(Math.abs(mask.area - tensors.integers(key('final_masks.area'))[query]!)).toBeLessThanOrEqual(mayFlip)
      }
    }

    it.each(golden.cases)('$name', async (case_) => {
      compare(
        await model.segment(exactImagePath(case_.image), {
          ...toPrompt(case_.text, case_.boxes),
          threshold: case_.threshold,
        }),
        case_,
      )
    })

    it('all cases as one batch give the same answers as one by one', async () => {
      const items = [...byImage].map(([image, cases]) => ({
        image: exactImagePath(image),
        prompts: cases.map(({ text, boxes, threshold }) => ({ ...toPrompt(text, boxes), threshold })),
      }))
      const results = await model.segmentBatch(items)
      ;[...byImage.values()].forEach((cases, item) => {
        cases.forEach((case_, prompt) => {
          compare(results[item]![prompt]!, case_)
        })
      })
    })

    it('asking an encoded image gives the same answers', async () => {
      const [name, cases] = [...byImage].sort(([, a], [, b]) => b.length - a.length)[0]!
      const image = await model.encode(exactImagePath(name))
      const results = await image.segment(
        cases.map(({ text, boxes, threshold }) => ({ ...toPrompt(text, boxes), threshold })),
      )
      results.forEach((result, index) => {
        compare(result, cases[index]!)
      })
      image.dispose()
    })

    const { batch } = golden
    if (!batch) leftOut('batch of prompts on several images')
    else {
      it(`the reference's own batch: ${batch.img_ids.length} prompts on ${batch.images.length} images`, async () => {
        const { images, texts, img_ids: imageIds, text_ids: textIds, boxes } = batch
        const [, queries] = tensors.shape('batch.joint_scores') as [number, number]
        const items = images.map((name, image) => ({
          image: exactImagePath(name),
          prompts: imageIds.flatMap((id, prompt) =>
            id === image ? [{ ...toPrompt(texts[textIds[prompt]!], boxes[prompt]), threshold: 0 }] : [],
          ),
        }))
        const results = await model.segmentBatch(items)
        const next = images.map(() => 0)
        imageIds.forEach((image, prompt) => {
          const result = results[image]![next[image]!++]!
          const size = golden.images[images[image]!]!
          const scores = tensors.floats('batch.joint_scores').subarray(prompt * queries, (prompt + 1) * queries)
          const centers = tensors
            .floats('batch.pred_boxes_cxcywh')
            .subarray(prompt * queries * 4, (prompt + 1) * queries * 4)
          const boxOf = (query: number) => {
            const [cx, cy, w, h] = centers.subarray(query * 4, query * 4 + 4) as unknown as [
              number,
              number,
              number,
              number,
            ]
            return [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
          }
          expect(result.instances).toHaveLength(queries)
          const [best] = counterparts(result.instances, scores, boxOf, size)
          const cells = golden.low_res ** 2
          const top = tensors.floats('batch.mask_logits_top3').subarray(prompt * 3 * cells)
          expect(largestDifference(best!.instance.mask.logits!.data, top.subarray(0, cells))).toBeLessThan(LOGIT)
        })
      })
    }

    for (const file of ['model.safetensors', 'sam3.pt'].filter(
      (name) => !replayedWeights.some((one) => one.file === name),
    ))
      leftOut(`model/${file}`)
    const otherForms = [
      ...replayedWeights.slice(1),
      { name: 'a self-contained checkpoint', path: replayedModels.checkpoint },
    ]
    it.each(otherForms)('$name gives the same numbers', async ({ path }) => {
      const other = await buildSam3ImageModel({ model: path, ...here })
      for (const case_ of oneOfEachKind(golden.cases)) {
        const prompt = { ...toPrompt(case_.text, case_.boxes), threshold: case_.threshold }
        compare(await other.segment(exactImagePath(case_.image), prompt), case_)
      }
      await other.dispose()
    })
  }),
)
