/** Which fonts labels are drawn with: those that the caller names, then the package's own (see fonts/README.md). */
import { readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { Sam3InputError, Sam3RuntimeError } from '../base/errors.js'
import { packageRoot } from '../base/package-root.js'
import { LabelFont } from './font.js'

/** Latin, Greek, Cyrillic, Hebrew, Armenian, Georgian, and symbols of all kinds. */
const FIRST = 'dejavu-sans'
const EMOJI = 'noto-emoji'
const [CHINESE, TRADITIONAL, JAPANESE, KOREAN] = ['noto-sans-sc', 'noto-sans-tc', 'noto-sans-jp', 'noto-sans-kr']
/** Punctuation, full-width letters, units in squares and the like, where the first font lacks them. */
const LAST: readonly string[] = [CHINESE, KOREAN, EMOJI]

const BY_SCRIPT: Readonly<Record<string, string>> = {
  Arab: 'noto-sans-arabic',
  Beng: 'noto-sans-bengali',
  Cher: 'noto-sans-cherokee',
  Deva: 'noto-sans-devanagari',
  Ethi: 'noto-sans-ethiopic',
  Gujr: 'noto-sans-gujarati',
  Guru: 'noto-sans-gurmukhi',
  Hang: KOREAN,
  Khmr: 'noto-sans-khmer',
  Knda: 'noto-sans-kannada',
  Laoo: 'noto-sans-lao',
  Mlym: 'noto-sans-malayalam',
  Mong: 'noto-sans-mongolian',
  Mymr: 'noto-sans-myanmar',
  Orya: 'noto-sans-oriya',
  Sinh: 'noto-sans-sinhala',
  Taml: 'noto-sans-tamil',
  Telu: 'noto-sans-telugu',
  Thaa: 'noto-sans-thaana',
  Thai: 'noto-sans-thai',
  Tibt: 'noto-serif-tibetan',
}
/** The same character is written differently in China and Japan: a text with kana is Japanese. */
const EAST_ASIAN: ReadonlySet<string> = new Set(['Hani', 'Hira', 'Kana', 'Bopo'])
const isJapanese = (text: string) => /[\p{Script=Hiragana}\p{Script=Katakana}]/u.test(text)

/** What decides about the fonts of a character, beside the character. */
export interface FontWish {
  script: string | undefined
  emoji: boolean
  /** The whole label. */
  text: string
}

/** Names of the package's fonts that may have a character, the best one first. */
function builtInNames({ script, emoji, text }: FontWish): Iterable<string> {
  const names = new Set<string>()
  if (emoji) names.add(EMOJI)
  const own = script && BY_SCRIPT[script]
  if (own) names.add(own)
  if (script && EAST_ASIAN.has(script)) {
    for (const name of isJapanese(text) ? [JAPANESE, CHINESE] : [CHINESE, JAPANESE]) names.add(name)
    names.add(TRADITIONAL)
  }
  for (const name of [FIRST, ...LAST]) names.add(name)
  return names
}

const builtIn = new Map<string, Promise<LabelFont>>()

/** Loads one of the package's fonts on first use. */
function builtInFont(name: string): Promise<LabelFont> {
  let font = builtIn.get(name)
  if (!font) {
    font = loadBuiltIn(name)
    builtIn.set(name, font)
    font.catch(() => builtIn.delete(name))
  }
  return font
}

async function loadBuiltIn(name: string): Promise<LabelFont> {
  const path = join(packageRoot(), 'fonts', `${name}.woff`)
  try {
    const font = await LabelFont.load(await readFile(path))
    if (font) return font
    throw new Error('It holds no characters.')
  } catch (cause) {
    throw new Sam3RuntimeError('ERR_INTERNAL', `The font ${path} of this package cannot be read.`, {
      cause,
      fix: 'Install sam3-node again; when bundling, leave it external, so that its files stay together.',
    })
  }
}

const named = new Map<string, Promise<LabelFont>>()

/**
 * Loads the font files of the caller, each once in a process.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT` for no list of paths, `ERR_INVALID_FONT` for a file that is no font
 */
export function loadNamedFonts(fonts: readonly string[] = []): Promise<LabelFont[]> {
  if (!Array.isArray(fonts) || !fonts.every((path) => typeof path === 'string' && path !== '')) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'fonts must be a list of paths of font files.', {
      fix: "Write it as { fonts: ['NotoSansTibetan.ttf'] }.",
    })
  }
  return Promise.all(
    fonts.map((path) => {
      const absolute = resolve(path)
      const font = named.get(absolute) ?? loadNamed(absolute)
      named.set(absolute, font)
      font.catch(() => named.delete(absolute)) // it may be mended until the next call
      return font
    }),
  )
}

async function loadNamed(path: string): Promise<LabelFont> {
  const invalid = (what: string, fix: string, cause?: unknown) =>
    new Sam3InputError('ERR_INVALID_FONT', `${basename(path)} ${what}`, { fix, cause })
  const file = await readFile(path).catch((cause: unknown) => {
    throw invalid(`cannot be read: ${(cause as Error).message}.`, 'Give the path of a font file.', cause)
  })
  if (file.toString('latin1', 0, 4) === 'wOF2')
    throw invalid('is a WOFF 2.0 font, which is not supported.', 'Give it as .ttf, .otf or .woff.')
  const font = await LabelFont.load(file).catch((cause: unknown) => {
    throw invalid('is damaged.', 'Get the font again.', cause)
  })
  if (font) return font
  throw invalid('is no font.', 'Give a TrueType, OpenType or WOFF file (.ttf, .otf, .ttc, .woff).')
}

/** The fonts that may have a character, the best one first; those of the package are loaded when it is their turn. */
export async function* fontsFor(wish: FontWish, chosen: readonly LabelFont[]): AsyncGenerator<LabelFont> {
  yield* chosen
  for (const name of builtInNames(wish)) yield await builtInFont(name)
}
