/** What the demo model finds by words: the right number, the right pixels, and nothing where there is nothing. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sam3VideoModel, Segmentation } from '../../../lib/index.js'
import { buildDemoModel, heldOut, iou, matchMasks, mean, scene } from '../../support/demo.js'
import { testDtype } from '../../support/where.js'

let model: Sam3VideoModel
beforeAll(async () => {
  model = await buildDemoModel()
})
afterAll(() => model.dispose())

const masksOf = ({ instances }: Segmentation) => instances.map(({ mask }) => mask)
const real = (shows: string) => scene.objects.filter((one) => one.shows.endsWith(shows)).map(({ mask }) => mask)

/** All questions about the held-out scenes: what is right of what is found, and how well it overlaps. */
async function score(asked: Sam3VideoModel) {
  const overlaps: number[] = []
  const silent: boolean[] = []
  let [found, wanted] = [0, 0]
  for (const { file, questions } of heldOut) {
    const answers = await asked.segment(file, { text: questions.map(({ text }) => text) })
    for (const [index, { masks }] of questions.entries()) {
      const answer = masksOf(answers[index]!)
      overlaps.push(...matchMasks(answer, masks).flatMap((match) => (match ? [match.iou] : [])))
      found += answer.length
      wanted += masks.length
      if (masks.length === 0) silent.push(answer.length === 0)
    }
  }
  const [precision, recall] = [overlaps.length / found, overlaps.length / wanted]
  const absentSilent = silent.filter(Boolean).length / silent.length
  return { f1: (2 * precision * recall) / (precision + recall), overlap: mean(overlaps), absentSilent }
}

describe('words on the example scene', () => {
  it.each(['dog', 'cat', 'cup', 'red car', 'blue car', 'banana', 'car'])(
    '%s: each once, and its pixels',
    async (text) => {
      const masks = masksOf(await model.segment(scene.file, { text }))
      const matches = matchMasks(masks, real(text))
      expect(matches.map((match) => match?.index).toSorted()).toEqual(real(text).map((_, index) => index))
      for (const match of matches) expect(match!.iou).toBeGreaterThan(0.65)
    },
  )

  it.each(['penguin', 'green car', 'circle', 'tree', 'horse'])('%s: nothing, as there is none', async (text) => {
    expect((await model.segment(scene.file, { text })).instances).toEqual([])
  })

  it('a plural, an article, a synonym and a group mean the same things', async () => {
    const [dogs, all, cups, animals] = await model.segment(scene.file, { text: ['dogs', 'the dogs', 'mugs', 'animal'] })
    for (const answer of [dogs!, all!]) expect(matchMasks(masksOf(answer), real('dog'))).toHaveLength(2)
    expect(matchMasks(masksOf(cups!), real('cup'))).toHaveLength(2)
    expect(animals!.instances).toHaveLength(3)
  })

  it('a word that it does not know gets a warning that says where its words are', async () => {
    const [known, unknown] = await model.segment(scene.file, { text: ['the Dogs', 'horse'] })
    expect(known!.warnings).toEqual([])
    expect(unknown!.warnings).toEqual([expect.stringMatching(/does not know 'horse'.*models\/demo\/words\.json/)])
  })

  it('a box around one cup finds both, and nothing else, without a word', async () => {
    const answer = masksOf(await model.segment(scene.file, { boxes: [{ box: real('cup')[0]!.box }] }))
    expect(answer).toHaveLength(2)
    expect(matchMasks(answer, real('cup')).filter((match) => match)).toHaveLength(2)
  })
})

describe('words on held-out scenes', () => {
  it('find what is there, and nothing of what is not', async () => {
    const { f1, overlap, absentSilent } = await score(model)
    expect(f1).toBeGreaterThan(0.85)
    expect(overlap).toBeGreaterThan(0.8)
    expect(absentSilent).toBeGreaterThan(0.85)
  })

  it('find the same in bfloat16 as in float32', async () => {
    const other = await buildDemoModel({ dtype: testDtype === 'bfloat16' ? 'float32' : 'bfloat16' })
    const [a, b] = [await score(model), await score(other)]
    await other.dispose()
    expect(Math.abs(a.f1 - b.f1)).toBeLessThan(0.05)
    expect(Math.abs(a.overlap - b.overlap)).toBeLessThan(0.02)
  })

  it('find the same in a batch as one after another', async () => {
    const some = heldOut.slice(0, 5)
    const items = some.map(({ file, questions }) => ({ image: file, text: questions.map(({ text }) => text) }))
    const batch = await model.segmentBatch(items)
    for (const [index, { file, questions }] of some.entries()) {
      for (const [place, { text }] of questions.entries()) {
        const single = await model.segment(file, text)
        const together = batch[index]![place]!
        expect(together.instances).toHaveLength(single.instances.length)
        for (const [at, { score, mask }] of single.instances.entries()) {
          expect(together.instances[at]!.score).toBeCloseTo(score, testDtype === 'float32' ? 3 : 1)
          expect(iou(together.instances[at]!.mask, mask)).toBeGreaterThan(0.98)
        }
      }
    }
  })
})
