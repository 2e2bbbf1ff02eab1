/** What the demo model makes of clicks. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Mask, type Sam3VideoModel } from '../../../lib/index.js'
import { buildDemoModel, heldOut, inside, iou, mean, scene } from '../../support/demo.js'

let model: Sam3VideoModel
beforeAll(async () => {
  model = await buildDemoModel()
})
afterAll(() => model.dispose())

it('a click on an object of the example scene gives its pixels', async () => {
  const image = await model.encode(scene.file)
  const overlaps: number[] = []
  for (const { mask } of scene.objects) {
    const { best } = await image.predict({ points: [inside(mask)], labels: [1] })
    overlaps.push(iou(best.mask, mask))
  }
  expect(mean(overlaps)).toBeGreaterThan(0.65)
  expect(Math.max(...overlaps)).toBeGreaterThan(0.85)
  image.dispose()
})

it('on held-out scenes one click is mostly right, and a second one mends what is wrong', async () => {
  const [once, twice]: [number[], number[]] = [[], []]
  for (const { file, objects } of heldOut) {
    const image = await model.encode(file)
    for (const mask of objects) {
      const point = inside(mask)
      const { best } = await image.predict({ points: [point], labels: [1] })
      const [found, truth] = [best.mask.toBitmap(), mask.toBitmap()]
      const wrong = found.map((value, at) => value ^ truth[at]!)
      const more = inside(wrong.includes(1) ? Mask.fromBitmap(wrong, mask.width, mask.height) : mask)
      const second = await image.predict({
        points: [point, more],
        labels: [1, mask.has(...more) ? 1 : 0],
        maskInput: best.mask.logits!,
        multimask: false,
      })
      once.push(iou(best.mask, mask))
      twice.push(iou(second.best.mask, mask))
    }
    image.dispose()
  }
  expect(mean(once)).toBeGreaterThan(0.8)
  expect(mean(twice)).toBeGreaterThan(mean(once))
  // The quarter that was worst after one click gains. Four or five of 53 are poor (below 0.75): too few to say anything of
  // those alone. docs/demo-model.md has them over 254 objects.
  const worst = once.map((_, at) => at).sort((a, b) => once[a]! - once[b]!)
  const quarter = worst.slice(0, Math.ceil(worst.length / 4))
  expect(mean(quarter.map((at) => twice[at]!))).toBeGreaterThan(mean(quarter.map((at) => once[at]!)))
})
