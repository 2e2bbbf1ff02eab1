/** The list of words of a model that knows few, and the warning for a text that is not on it. */
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { buildSam3VideoModel } from '../../../lib/index.js'
import { KnownWords } from '../../../lib/tokenizer/words.js'
import { noiseImage } from '../../support/model.js'
import { goldenModels } from '../../support/paths.js'
import { here } from '../../support/where.js'

const WORDS = JSON.stringify({
  format: 'sam3-words/1',
  articles: ['a', 'the'],
  words: [['dog', 'dogs', 'puppy'], ['red car'], ['the end']],
})

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-words-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('knows phrases in any case, with spaces and articles, and nothing else', () => {
  const words = KnownWords.read(WORDS, 'words.json')!
  for (const text of ['dog', ' Dogs', 'the  dog', 'a puppy', 'RED car', 'the end']) expect(words.has(text)).toBe(true)
  for (const text of ['cat', 'car', 'an dog', 'the', 'dog the', 'a the dog']) expect(words.has(text)).toBe(false)
})

it('takes no other file of that name', () => {
  for (const json of ['["dog"]', '{"words":[]}', 'null', 'dog', '']) expect(KnownWords.read(json, 'x')).toBeUndefined()
})

it('gives a warning for a text that the list of its folder lacks, on images and videos', async () => {
  for (const name of readdirSync(goldenModels.safetensors))
    symlinkSync(`${goldenModels.safetensors}/${name}`, path.join(folder, name))
  writeFileSync(path.join(folder, 'words.json'), WORDS)
  const model = await buildSam3VideoModel({ model: folder, ...here })
  const image = noiseImage(60, 40)
  const warning = expect.stringMatching(/does not know 'cat'.*sam3-words-.*words\.json/)
  const [dog, cat] = await model.segment(image, ['a dog', 'cat'])
  expect([dog!.warnings, cat!.warnings]).toEqual([[], [warning]])
  expect((await model.segment(image, { boxes: [[1, 1, 20, 20]] })).warnings).toEqual([])
  const session = await model.startSession([image])
  expect((await session.addPrompt({ frameIndex: 0, text: 'cat' })).warnings).toEqual([warning])
  await model.dispose()
})
