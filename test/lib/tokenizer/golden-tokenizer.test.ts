/** Texts as tokens, against those of the reference's tokenizer. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { TextTokenizer } from '../../../lib/tokenizer/tokenizer.js'
import { leftOut, replay } from '../../support/golden-set.js'
import { replayedRoot } from '../../support/paths.js'

interface GoldenTokens {
  context_length: number
  rows: { text: string; ids: number[] }[]
}

replay<GoldenTokens>('TextTokenizer against the reference', 'tokenizer', ({ context_length, rows }) => {
  if (rows.length === 0) leftOut('texts in cases/tokenizer.json')
  else {
    it(`gives the same ids for ${rows.length} texts`, () => {
      const tokenizer = new TextTokenizer(readFileSync(`${replayedRoot}/model/tokenizer.json`, 'utf8'), context_length)
      const different = rows.filter(({ text, ids }) => tokenizer.encode(text).ids.join() !== ids.join())
      expect(different.map(({ text }) => text)).toEqual([])
    })
  }
})
