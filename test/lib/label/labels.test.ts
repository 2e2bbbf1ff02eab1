/** Labels in every script: shaping, direction, fonts, and what happens where no font has a character. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Mask, overlay, overlayFrame } from '../../../lib/index.js'
import { labelChip, labelSize } from '../../../lib/label/chip.js'
import { cleanText } from '../../../lib/label/clean.js'
import { LabelFont } from '../../../lib/label/font.js'
import { loadNamedFonts } from '../../../lib/label/fonts.js'
import { fitFonts } from '../../../lib/label/runs.js'
import { scriptName, scriptOf } from '../../../lib/label/script.js'
import { layOut, layOutWithin, type TextLine } from '../../../lib/label/text-line.js'
import { unpackWoff } from '../../../lib/label/woff.js'
import { defaultLabel } from '../../../lib/video/draw/overlay-frame.js'
import { rejection } from '../../support/model.js'
import { repositoryRoot } from '../../support/paths.js'

const fonts = path.join(repositoryRoot, 'fonts')
const folder = mkdtempSync(path.join(tmpdir(), 'sam3-labels-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Words of different meaning and the same number of characters. */
const WORDS: readonly (readonly [script: string, one: string, other: string])[] = [
  ['Latin', 'kočka', 'piesã'],
  ['Greek', 'γάτα', 'πόδι'],
  ['Cyrillic', 'кот', 'дом'],
  ['Simplified Chinese', '猫', '车'],
  ['Traditional Chinese', '貓', '屜'],
  ['Japanese', 'いぬ', '本棚'],
  ['Katakana', 'カップ', 'バスー'],
  ['Korean', '고양이', '강아지'],
  ['Arabic', 'كلب', 'بيت'],
  ['Persian and Urdu', 'گربہ', 'پیڑے'],
  ['Hebrew', 'כלב', 'בית'],
  ['Devanagari', 'कप', 'घर'],
  ['Bengali', 'কুকুর', 'বিড়াল'],
  ['Gujarati', 'કૂતરો', 'બિલાડ'],
  ['Gurmukhi', 'ਕੁੱਤਾ', 'ਬਿੱਲੀ'],
  ['Odia', 'କୁକୁର', 'ବିଲେଇ'],
  ['Tamil', 'நாய்', 'பூனை'],
  ['Telugu', 'కుక్క', 'పిల్లి'],
  ['Kannada', 'ನಾಯಿ', 'ಬೆಕ್ಕು'],
  ['Malayalam', 'നായ', 'പൂച്ച'],
  ['Sinhala', 'බල්ලා', 'පූසා'],
  ['Thai', 'หมา', 'แมว'],
  ['Lao', 'ໝາ', 'ແມວ'],
  ['Khmer', 'ឆ្កែ', 'ឆ្មា'],
  ['Burmese', 'ခွေး', 'ကြောင်'],
  ['Tibetan', 'ཁྱི', 'བྱི'],
  ['Georgian', 'ძაღლი', 'კატაა'],
  ['Armenian', 'շուն', 'կատու'],
  ['Amharic', 'ውሻ', 'ቤት'],
  ['Cherokee', 'ᎩᎵ', 'ᏪᏌ'],
  ['Mongolian', 'ᠨᠣᠬᠠᠢ', 'ᠮᠤᠤᠷ'],
  ['Maldivian', 'ކުއްތާ', 'ބުޅާ'],
  ['Emoji', '😀', '🐶'],
]

async function line(text: string): Promise<TextLine> {
  return layOut((await fitFonts(cleanText(text), [])).graphemes)
}

/** Glyph numbers from left to right. */
const ids = async (text: string) => (await line(text)).glyphs.map(({ id }) => id)
/** What is seen, wherever it starts. */
const shape = async (text: string) => JSON.stringify((await line(text)).glyphs.map(({ id, x, y }) => [id, x, y]))

describe.each(WORDS)('%s', (_script, one, other) => {
  it('is drawn with glyphs of its own, none of them a box or a dotted circle', async () => {
    for (const word of [one, other]) {
      const { graphemes, readable, missing } = await fitFonts(word, [])
      expect({ readable, missing: [...missing] }).toEqual({ readable: true, missing: [] })
      const { glyphs, width } = layOut(graphemes)
      expect(glyphs.length).toBeGreaterThan(0)
      expect(width).toBeGreaterThan(0.2)
      for (const { id, font } of glyphs) {
        expect(id).not.toBe(0)
        expect(font.path(id)).toMatch(/^M/)
        // HarfBuzz puts a dotted circle below a mark that is in a wrong place.
        const [circle] = font.shape({ text: '\u25cc', start: 0, end: 1, script: 'Zyyy', rightToLeft: false })
        if (circle?.id) expect(id).not.toBe(circle.id)
      }
    }
    expect(await shape(one)).not.toBe(await shape(other))
  })
})

describe('shaping', () => {
  it('joins Arabic letters, and goes from right to left', async () => {
    const isolated = await Promise.all([...'محل'].map(line))
    const word = await line('محل')
    expect(word.glyphs).toHaveLength(3)
    const joined = new Set(word.glyphs.map(({ id }) => id))
    for (const { glyphs } of isolated) expect(joined).not.toContain(glyphs[0]!.id)
    expect(new Set(await ids('ههه')).size).toBe(3) // first, middle and last form
    expect(word.rightToLeft).toBe(true)
    // Letters that do not join keep their isolated forms: their order can be seen.
    const [dal, waw, reh] = await Promise.all(['د', 'و', 'ر'].map(ids))
    expect(await ids('دور')).toEqual([...reh!, ...waw!, ...dal!])
  })

  it('keeps joiners, which decide about the form of letters', async () => {
    expect(await shape('می\u200cخواهم')).not.toBe(await shape('میخواهم'))
    expect(await shape('क्\u200dष')).not.toBe(await shape('क्ष'))
  })

  it('mixes directions as Unicode says, brackets mirrored', async () => {
    const at = async (text: string) => (await ids(text))[0]!
    const [alef, bet] = [await at('א'), await at('ב')]
    expect(await ids('אב')).toEqual([bet, alef])
    expect(await ids('(א)')).toEqual([await at('('), alef, await at(')')])
    expect(await ids('a אב c')).toEqual([await at('a'), bet, alef, await at('c')])
    // Numbers are read from left to right in a text that goes the other way.
    expect(await ids('אב 12')).toEqual([...(await ids('12')), bet, alef])
  })

  it('forms conjuncts and moves vowel signs of Devanagari', async () => {
    expect(await ids('क्ष')).toHaveLength(1)
    const [ka] = await ids('क')
    const signed = await ids('कि')
    expect(signed).toHaveLength(2)
    expect(signed[1]).toBe(ka) // the sign is spoken after the letter and written before it
  })

  it('stacks Thai marks without width, and composed and decomposed letters look alike', async () => {
    expect((await line('ที่')).width).toBeCloseTo((await line('ท')).width)
    expect((await line('ที่')).top).toBeGreaterThan((await line('ท')).top + 0.3)
    for (const word of ['café', 'Ångström', '각하', 'が'])
      expect(await shape(word.normalize('NFD'))).toBe(await shape(word))
  })

  it('draws a sequence of emoji as one picture, and flags, keycaps and hearts', async () => {
    expect((await line('👩‍👧')).glyphs).toHaveLength(1)
    expect((await line('👩👧')).glyphs).toHaveLength(2)
    expect(await shape('🇩🇪')).not.toBe(await shape('🇫🇷'))
    for (const text of ['👍🏽', '1️⃣', '❤️', '🏳️‍🌈', '🐈‍⬛']) expect((await fitFonts(text, [])).missing.size).toBe(0)
    const [picture, sign] = [await line('❤️'), await line('❤\ufe0e')]
    expect(picture.glyphs[0]!.font).not.toBe(sign.glyphs[0]!.font)
  })

  it('writes Han characters in the Japanese way beside kana', async () => {
    const path = async (text: string) => {
      const { font, id } = (await line(text)).glyphs[0]!
      return font.path(id)
    }
    expect(await path('直す')).not.toBe(await path('直'))
    expect(await path('直す')).toBe(await path('直る'))
  })
})

describe('a label', () => {
  it('is one line of text: neither control characters nor markup', async () => {
    expect(await shape('one\n\ttwo\u0000\r\nthree\u2028four\u00a0')).toBe(await shape('one two three four'))
    expect(cleanText('\n\t \u0000')).toBe('')
    expect(cleanText('a\ud800b')).toBe('ab')
    const [markup] = await Promise.all([chip('<b>&amp;"\''), chip('b')])
    expect((await line('<b>&amp;"\'')).glyphs).toHaveLength(10)
    expect((await sharp(document(markup)).metadata()).width).toBeGreaterThan(0)
  })

  it.each([40, 80, 200, 333, 1000])('is shortened to %s pixels', async (room) => {
    for (const name of [
      'a long label '.repeat(60),
      'قطة كبيرة جدا '.repeat(60),
      '狗'.repeat(300),
      'कुत्ता '.repeat(60),
    ]) {
      const { width } = await chip(name, { suffix: '0.93', room })
      expect(width).toBeLessThanOrEqual(room)
      expect(width).toBeGreaterThan(room - 40) // the longest that fits
    }
  })

  it('keeps the number, which is the last to be read, and ends the name with an ellipsis', async () => {
    const graphemes = async (text: string) => (await fitFonts(text, [])).graphemes
    const [score, dots] = [await graphemes('0.93'), await graphemes('…')]
    const within = async (name: string, width: number) =>
      layOutWithin(width, await graphemes(name), score, dots).glyphs.map(({ id }) => id)
    const number = await ids('0.93')
    const [ellipsis] = await ids('…')
    const english = await within('a long label', 7)
    expect(english.slice(-5)).toEqual([ellipsis, ...number])
    expect(english.length).toBeGreaterThan(7)
    const hebrew = await within('כלב גדול ושחור', 7)
    expect(hebrew.slice(0, 5)).toEqual([...number, ellipsis])
    // Behind an Arabic word it would otherwise stand in front of that word.
    expect((await within('cup كلب', 99)).slice(-4)).toEqual(number)
    expect(await within('cup', 99)).toEqual([...(await ids('cup')), ...number])
    expect(await within('a long label', 0.1)).toEqual([ellipsis])
  })

  it('takes an endless text in no time', async () => {
    const begun = performance.now()
    expect((await chip('word '.repeat(500_000), { room: 500 })).width).toBeLessThanOrEqual(500)
    expect((await chip(`a${'\u0301'.repeat(500_000)}`, { room: 500 })).height).toBeLessThan(100)
    expect(performance.now() - begun).toBeLessThan(5000)
  })

  it.each([
    'Ägypten',
    'ที่นี่',
    'ཁྱི་རྒྱུ',
    'کتا ہے',
    'ဓာတ်ပုံ',
    'ឆ្កែខ្មែរ',
    '😀👩‍👧',
    `Z${'\u0321\u0334\u0322'.repeat(3)}${'\u0301'.repeat(9)}o`,
  ])('has a background behind all ink of %s', async (name) => {
    const one = await chip(name, { suffix: '0.9', size: 40 })
    const [left, top, margin] = [60, 60, 60]
    const [width, height] = [Math.ceil(one.width) + 2 * margin, Math.ceil(one.height) + 2 * margin]
    const svg = one.svg(left, top, [255, 255, 0]).replace(/<rect[^>]*>/, '')
    const ink = await sharp(
      Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${svg}</svg>`),
    )
      .ensureAlpha()
      .extractChannel('alpha')
      .raw()
      .toBuffer()
    let drawn = 0
    for (const [index, alpha] of ink.entries()) {
      if (alpha === 0) continue
      drawn++
      const [x, y] = [index % width, Math.floor(index / width)]
      const inside = x >= left + 2 && x < left + one.width - 2 && y >= top + 2 && y < top + one.height - 2
      if (!inside) expect.fail(`ink at ${x - left}, ${y - top} of ${one.width} x ${one.height}`)
    }
    expect(drawn).toBeGreaterThan(200)
  })

  it('has letters of at least 12 pixels that grow with the picture', () => {
    expect(labelSize(480, 320)).toBe(12)
    expect(labelSize(2400, 1600)).toBeGreaterThan(30)
    expect(labelSize(20_000, 20_000)).toBe(72)
  })
})

describe('pictures', () => {
  it('show different words differently, in images and in videos', async () => {
    for (const [, one, other] of WORDS.filter((_, index) => index % 4 === 0)) {
      expect(await image(one)).not.toEqual(await image(other))
      expect(await frame(one)).not.toEqual(await frame(other))
    }
    expect(await image('猫')).toEqual(await image('猫'))
    expect(await frame('猫')).toEqual(await frame('猫'))
  })

  it('keep the number of an object behind a text that is too long, and leave out an empty label', async () => {
    const long = 'a person with a yellow jacket, a red helmet and a bicycle near a fence'
    expect(defaultLabel({ id: 12, prompt: long, mask })).toEqual({ name: long, suffix: '12', fallback: 'object' })
    expect(defaultLabel({ id: 12, mask })).toMatchObject({ name: '#12' })
    // Both are cut at the same place.
    expect(await frame(long)).toBe(await frame(`${long} and a dog`))
    expect(await frame(long)).not.toBe(await frame(long, {}, { labels: () => long }))
    const bare = { opacity: 0, contours: false }
    const labels = (name: string) => ({ labels: () => name, ...bare })
    expect(await frame('cup', { id: 1 }, labels(''))).toEqual(
      await frame('cup', { id: 1 }, { ...labels(''), labels: false }),
    )
    expect(await frame('cup', { id: 1 }, labels('猫'))).not.toEqual(await frame('cup', { id: 1 }, labels('犬')))
  })

  it('of a few pixels take a label too, and keep their size', async () => {
    for (const [width, height] of [
      [8, 8],
      [300, 9],
      [5, 300],
    ] as const) {
      const image = { data: new Uint8Array(width * height * 3), width, height }
      const whole = Mask.fromBitmap(new Uint8Array(width * height).fill(1), width, height)
      const names = ['a long name', 'قطة كبيرة', 'ཁྱི་རྒྱུ']
      const objects = names.map((prompt, id) => ({ id, prompt, label: prompt, mask: whole, score: 0.5 }))
      const picture = await overlay({ ...image, channels: 3 }, objects, { scale: 1 })
      expect(await sharp(picture).metadata()).toMatchObject({ width, height })
      const drawn = await overlayFrame({ ...image, index: 0, timestamp: 0 }, objects)
      expect(drawn.data).toHaveLength(width * height * 3)
    }
  })

  it('are the same on a machine without any font', async () => {
    const config = path.join(folder, 'fonts.conf')
    writeFileSync(config, '<?xml version="1.0"?><fontconfig></fontconfig>')
    const program = `
      import { Mask, overlay } from ${JSON.stringify(`${repositoryRoot}/dist/index.js`)}
      import { createHash } from 'node:crypto'
      const mask = Mask.fromBitmap(new Uint8Array(60_000).fill(1, 30_000, 40_000), 300, 200)
      const names = ['wheel', '猫', 'कप', 'كلب', '고양이', 'แมว', '😀']
      const pixels = { data: new Uint8Array(180_000).fill(90), width: 300, height: 200, channels: 3 }
      const picture = await overlay(pixels, names.map((label) => ({ mask, label, score: 0.5 })))
      console.log(createHash('sha256').update(picture).digest('hex'))`
    const drawnWith = async (env: object) => {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
        env: { ...process.env, ...env },
      })
      expect(stderr).toBe('')
      return stdout
    }
    const none = { FONTCONFIG_FILE: config, FONTCONFIG_PATH: folder, HOME: folder, XDG_DATA_HOME: folder }
    expect(await drawnWith(none)).toBe(await drawnWith({}))
  })
})

describe('a character that no font has', () => {
  it('is told once for each script, and the number or a sign stands for it', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    try {
      expect((await chip('𓀀𓀁')).svg(0, 0, [0, 0, 0])).toBe((await chip('#7')).svg(0, 0, [0, 0, 0]))
      expect((await chip('bird 𓀀𓀁!')).svg(0, 0, [0, 0, 0])).toBe((await chip('bird \ufffd!')).svg(0, 0, [0, 0, 0]))
      await chip('𓀀 𒀀')
      expect(warn.mock.calls.map(([message]) => String(message))).toEqual([
        expect.stringContaining('Egyptian hieroglyphs'),
        expect.stringContaining('Cuneiform'),
      ])
      expect(warn.mock.calls[0]![1]).toMatchObject({
        code: 'SAM3_LABEL_FONT',
        detail: expect.stringContaining('--font'),
      })
      expect(await image('𓀀')).toEqual(await image('#1'))
    } finally {
      warn.mockRestore()
    }
  })

  it('is left out where it is a mark on a letter, and where nothing is there to see', async () => {
    expect(await shape('a\u{1e08f}b')).toBe(await shape('ab')) // a Cyrillic mark of 2022
    expect((await chip('\u3164\u200b\u2060')).svg(0, 0, [0, 0, 0])).toBe((await chip('#7')).svg(0, 0, [0, 0, 0]))
  })

  it('has a script with a name', () => {
    expect(['a', '猫', 'ب', '1', '😀'].map(scriptOf)).toEqual(['Latn', 'Hani', 'Arab', undefined, undefined])
    expect(scriptName('Tibt')).toBe('Tibetan')
  })
})

describe('fonts of the caller', () => {
  const japanese = path.join(folder, 'japanese.ttf')
  beforeAll(async () => {
    writeFileSync(japanese, await unpackWoff(readFileSync(path.join(fonts, 'noto-sans-jp.woff'))))
    copyFileSync(path.join(fonts, 'noto-sans-thai.woff'), path.join(folder, 'thai.woff'))
  })

  it('come first where they have the letter, as TrueType and as WOFF', async () => {
    const usual = await image('直 wheel')
    expect(await image('直 wheel', { fonts: [japanese] })).not.toEqual(usual)
    expect(await image('直 wheel', { fonts: [path.join(folder, 'thai.woff'), japanese] })).toEqual(
      await image('直 wheel', { fonts: [japanese] }),
    )
    expect(await frame('直', {}, { fonts: [japanese] })).not.toEqual(await frame('直'))
    expect(await frame('直', {}, { fonts: [japanese] })).toEqual(await frame('直', {}, { fonts: [japanese] }))
    const [first, second] = await Promise.all([loadNamedFonts([japanese]), loadNamedFonts([japanese])])
    expect(first[0]).toBe(second[0])
  })

  it.each<[string, () => unknown, string, string]>([
    ['a missing file', () => [path.join(folder, 'none.ttf')], 'ERR_INVALID_FONT', 'none.ttf cannot be read'],
    ['a folder', () => [folder], 'ERR_INVALID_FONT', 'cannot be read'],
    ['an empty file', () => [file('empty.ttf', '')], 'ERR_INVALID_FONT', 'empty.ttf is no font'],
    ['a text', () => [file('text.otf', 'no font at all '.repeat(99))], 'ERR_INVALID_FONT', 'text.otf is no font'],
    ['a WOFF 2.0', () => [file('new.woff2', 'wOF2 and so on')], 'ERR_INVALID_FONT', 'WOFF 2.0'],
    ['half a WOFF', () => [half('noto-sans-thai.woff')], 'ERR_INVALID_FONT', 'is damaged'],
    ['no list', () => 'font.ttf', 'ERR_INVALID_ARGUMENT', 'list of paths'],
    ['no paths', () => [7], 'ERR_INVALID_ARGUMENT', 'list of paths'],
  ])('are refused: %s', async (_name, options, code, message) => {
    const wrong = { fonts: options() as string[] }
    for (const attempt of [image('a', wrong), frame('a', {}, wrong)]) {
      const error = await rejection(attempt)
      expect(error).toMatchObject({ code })
      expect(error.message).toContain(message)
    }
  })

  it('are taken again once they are mended', async () => {
    const again = file('again.ttf', 'no font')
    expect(await rejection(image('a', { fonts: [again] }))).toMatchObject({ code: 'ERR_INVALID_FONT' })
    copyFileSync(japanese, again)
    expect(await image('直', { fonts: [again] })).toEqual(await image('直', { fonts: [japanese] }))
  })

  it('survive damage of every kind', async () => {
    const font = await unpackWoff(readFileSync(path.join(fonts, 'noto-sans-devanagari.woff')))
    let seed = 11
    const random = (limit: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
      return (seed >>> 8) % limit
    }
    let loaded = 0
    for (let round = 0; round < 60; round++) {
      const damaged = Buffer.from(font)
      for (let count = random(30); count >= 0; count--)
        damaged[random(2) ? random(damaged.length) : random(600)] = random(256)
      const one = await LabelFont.load(damaged)
      if (!one) continue
      loaded++
      const text = 'कुत्ता क्षत्रिय'
      const run = { text, start: 0, end: text.length, script: 'Deva', rightToLeft: false }
      for (const { id } of one.shape(run)) expect(one.path(id)).toMatch(/^(M|$)/)
    }
    expect(loaded).toBeGreaterThan(10)
  })
})

describe("the package's fonts", () => {
  const names = readdirSync(fonts).filter((name) => name.endsWith('.woff'))

  it.each(names)('%s loads, and fonts/README.md says where it is from', async (name) => {
    expect(await LabelFont.load(readFileSync(path.join(fonts, name)))).toBeInstanceOf(LabelFont)
    expect(readFileSync(path.join(fonts, 'README.md'), 'utf8')).toContain(`\`${name}\``)
  })

  it('cover the standard characters of Chinese, Japanese and Korean', async () => {
    const characters = (encoding: string, rows: [number, number], columns: [number, number]) => {
      const decoder = new TextDecoder(encoding)
      const all: string[] = []
      for (let row = rows[0]; row <= rows[1]; row++)
        for (let column = columns[0]; column <= columns[1]; column++) {
          const character = decoder.decode(Uint8Array.of(row, column))
          if (/^[\p{Script=Han}\p{Script=Hangul}]$/u.test(character)) all.push(character)
        }
      return all
    }
    const share = async (all: readonly string[]) => {
      expect(all.length).toBeGreaterThan(2000)
      const drawn = await Promise.all(all.map(async (one) => (await fitFonts(one, [])).readable))
      return drawn.filter(Boolean).length / all.length
    }
    expect(await share(characters('gbk', [0xb0, 0xd7], [0xa1, 0xfe]))).toBeGreaterThan(0.999) // GB 2312, level 1
    expect(await share(characters('euc-jp', [0xb0, 0xcf], [0xa1, 0xfe]))).toBe(1) // JIS X 0208, level 1
    expect(await share(characters('euc-kr', [0xb0, 0xc8], [0xa1, 0xfe]))).toBe(1) // KS X 1001, syllables
    expect(await share(characters('big5', [0xa4, 0xc6], [0xa1, 0xfe]))).toBeGreaterThan(0.95) // Big5, level 1, the second half of each row
  })
})

function file(name: string, text: string): string {
  writeFileSync(path.join(folder, name), text)
  return path.join(folder, name)
}

function half(name: string): string {
  const whole = readFileSync(path.join(fonts, name))
  writeFileSync(path.join(folder, `half-${name}`), whole.subarray(0, whole.length / 2))
  return path.join(folder, `half-${name}`)
}

function chip(name: string, { suffix = '', size = 16, room = 2000 } = {}) {
  return labelChip({ name, suffix, fallback: '#7' }, size, room, [])
}

function document({ width, height, svg }: Awaited<ReturnType<typeof chip>>): Buffer {
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${Math.ceil(width)}" height="${Math.ceil(height)}">${svg(0, 0, [9, 9, 9])}</svg>`,
  )
}

const [WIDTH, HEIGHT] = [480, 120]
const mask = Mask.fromBitmap(new Uint8Array(WIDTH * HEIGHT).fill(1, 80 * WIDTH, 90 * WIDTH), WIDTH, HEIGHT)
const pixels = () => ({ data: new Uint8Array(WIDTH * HEIGHT * 3).fill(128), width: WIDTH, height: HEIGHT })

/** A digest: a difference of pictures is not worth printing. */
const digest = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')

async function image(label: string, options: object = {}): Promise<string> {
  return digest(await overlay({ ...pixels(), channels: 3 }, [{ mask, label, score: 0.9 }], options))
}

async function frameBytes(prompt: string, { id = 3 } = {}, options: object = {}): Promise<Uint8Array> {
  return (await overlayFrame({ ...pixels(), index: 0, timestamp: 0 }, [{ id, mask, prompt }], options)).data
}

const frame = async (...drawn: Parameters<typeof frameBytes>) => digest(await frameBytes(...drawn))
