import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Sam3ModelError } from '../lib/errors.js'
import { cleanText } from '../lib/tokenizer/clean.js'
import { unescapeHtml } from '../lib/tokenizer/html.js'
import { CONTEXT_LENGTH, TextTokenizer } from '../lib/tokenizer/tokenizer.js'
import { goldenRoot, repositoryRoot } from './support/paths.js'
import { pythonWith, runPython } from './support/python.js'

interface GoldenTokens {
  sot: number
  eot: number
}

describe('TextTokenizer', () => {
  const tokenizer = new TextTokenizer(readFileSync(`${goldenRoot}/model/tokenizer.json`, 'utf8'))
  const golden = JSON.parse(readFileSync(`${goldenRoot}/cases/tokenizer.json`, 'utf8')) as GoldenTokens

  it('reports the length and, when the text was cut, keeps the end token last', () => {
    expect(tokenizer.encode('cat')).toMatchObject({ length: 3, truncated: false })
    const row = tokenizer.encode('cat '.repeat(100))
    expect(row).toMatchObject({ length: CONTEXT_LENGTH, truncated: true })
    expect(row.ids[CONTEXT_LENGTH - 1]).toBe(golden.eot)
  })

  it('fits exactly 30 words beside the start and the end token', () => {
    expect(tokenizer.encode('cat '.repeat(30)).truncated).toBe(false)
    expect(tokenizer.encode('cat '.repeat(31)).truncated).toBe(true)
  })

  it('remembers rows, and keeps answering right after more texts than it remembers', () => {
    const first = tokenizer.encode('a red ellipse')
    expect(tokenizer.encode('a red ellipse')).toBe(first)
    for (let index = 0; index < 1100; index++) tokenizer.encode(`text ${index}`)
    expect(tokenizer.encode('a red ellipse')).toEqual(first)
  })

  it('reads the reference names of the special tokens and no others', () => {
    expect([...tokenizer.encode('<start_of_text>x<end_of_text>').ids.slice(0, 5)]).toEqual([
      golden.sot,
      golden.sot,
      tokenizer.encode('x').ids[1],
      golden.eot,
      golden.eot,
    ])
    expect(tokenizer.encode('<|endoftext|>').length).toBeGreaterThan(3)
  })
})

describe('TextTokenizer with an unusable file', () => {
  it.each([
    ['no JSON', 'not json'],
    ['another model', '{"model":{"type":"Unigram","vocab":[]}}'],
    ['no special tokens', '{"model":{"type":"BPE","vocab":{"a":1},"merges":[]}}'],
  ])('refuses %s', (_name, json) => {
    expect(() => new TextTokenizer(json)).toThrow(Sam3ModelError)
    expect(() => new TextTokenizer(json)).toThrow(expect.objectContaining({ code: 'ERR_MODEL_FORMAT' }))
  })
})

describe('cleanText', () => {
  it.each([
    ['  Red\tCAR \n', 'red car'],
    ['schÃ¶n', 'schön'],
    ['“smart” it’s', '"smart" it\'s'],
    ['ﬁsh ＡＢＣ', 'fish abc'],
    ['&amp;amp;', '&'],
    ['null\0char\ufeff', 'nullchar'],
    ['e\u0301te\u0301', 'été'],
    ['âœ” No problems', '✔ no problems'],
    ['voilÃ le travail', 'voilà le travail'],
    ['P&EACUTE;REZ', 'pérez'],
    ['\u00a0\u2003', ''],
    ['', ''],
  ])('%j becomes %j', (text, cleaned) => expect(cleanText(text)).toBe(cleaned))

  const python = pythonWith('ftfy')
  it.skipIf(!python)('equals ftfy and html.unescape on 5000 random broken strings', () => {
    const pairs = runPython(python!, [`${repositoryRoot}/test/support/clean_text_oracle.py`, '5000', '20260101'])
    const different = (pairs as [string, string][]).filter(([text, cleaned]) => cleanText(text) !== cleaned)
    expect(different).toEqual([])
  })
})

describe('unescapeHtml', () => {
  it.each([
    ['&notit; &notin;', '¬it; ∉'],
    ['&#128; &#x80;', '€ €'],
    ['&#0;&#xD800;&#1114112;', '\ufffd\ufffd\ufffd'],
    ['&#11;&#xFFFE;', ''],
    ['&unknown; & &;', '&unknown; & &;'],
    ['&copy 2026', '© 2026'],
  ])('%j becomes %j', (text, decoded) => expect(unescapeHtml(text)).toBe(decoded))
})
