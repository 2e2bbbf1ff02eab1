import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Sam3ModelError } from '../../../lib/base/errors.js'
import { cleanText } from '../../../lib/tokenizer/clean.js'
import { unescapeHtml } from '../../../lib/tokenizer/html.js'
import { TextTokenizer } from '../../../lib/tokenizer/tokenizer.js'
import { goldenRoot, repositoryRoot } from '../../support/paths.js'
import { pythonWith, runPython } from '../../support/python.js'
import { without } from '../../support/without.js'

interface GoldenTokens {
  context_length: number
  sot: number
  eot: number
}

describe('TextTokenizer', () => {
  const golden = JSON.parse(readFileSync(`${goldenRoot}/cases/tokenizer.json`, 'utf8')) as GoldenTokens
  const length = golden.context_length
  const tokenizer = new TextTokenizer(readFileSync(`${goldenRoot}/model/tokenizer.json`, 'utf8'), length)

  it('reports the length and, when the text was cut, keeps the end token last', () => {
    expect(tokenizer.encode('cat')).toMatchObject({ length: 3, truncated: false })
    const row = tokenizer.encode('cat '.repeat(100))
    expect(row).toMatchObject({ length, truncated: true })
    expect(row.ids[length - 1]).toBe(golden.eot)
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

describe('the tokenizer of the package', () => {
  // SHA-256 of the lines that Meta's tokenizer reads from its own vocabulary (bpe_simple_vocab_16e6.txt.gz, the lines
  // after the first, up to 48,894), joined by line breaks: taken from the file in Meta's repository of SAM 3.
  const MERGES = 'f61f2adf497e6f5357c347aeb4646fabe82f341e946de5bdec5d2858e41bef4a'
  const { model, added_tokens: added } = JSON.parse(
    readFileSync(`${repositoryRoot}/programs/sam3/tokenizer.json`, 'utf8'),
  ) as { model: { merges: [string, string][]; vocab: Record<string, number> }; added_tokens: { id: number }[] }

  it("has the very merges of Meta's code, so that it can stand in for any other", () => {
    expect(
      createHash('sha256')
        .update(model.merges.map((pair) => pair.join(' ')).join('\n'))
        .digest('hex'),
    ).toBe(MERGES)
  })

  it('numbers its tokens as Meta does: bytes, bytes that end a word, merges, start, end', () => {
    const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
    const bytes = [...Array(256).keys()]
    const letters = [
      ...bytes.filter(printable).map((byte) => String.fromCodePoint(byte)),
      ...bytes.filter((byte) => !printable(byte)).map((_, index) => String.fromCodePoint(256 + index)),
    ]
    const merged = model.merges.map((pair) => pair.join(''))
    const all = [...letters, ...letters.map((letter) => `${letter}</w>`), ...merged, '<|startoftext|>', '<|endoftext|>']
    expect(Object.keys(model.vocab)).toHaveLength(49_408)
    expect(all.filter((token, id) => model.vocab[token] !== id)).toEqual([])
    expect(added.map(({ id }) => id)).toEqual([49_406, 49_407])
  })
})

describe('TextTokenizer with an unusable file', () => {
  it.each([
    ['no JSON', 'not json'],
    ['another model', '{"model":{"type":"Unigram","vocab":[]}}'],
    ['no special tokens', '{"model":{"type":"BPE","vocab":{"a":1},"merges":[]}}'],
  ])('refuses %s', (_name, json) => {
    expect(() => new TextTokenizer(json, 32)).toThrow(Sam3ModelError)
    expect(() => new TextTokenizer(json, 32)).toThrow(expect.objectContaining({ code: 'ERR_MODEL_FORMAT' }))
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
  it.skipIf(without('python'))('equals ftfy and html.unescape on 5000 random broken strings', () => {
    const pairs = runPython(python, [`${repositoryRoot}/test/support/clean_text_oracle.py`, '5000', '20260101'])
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
