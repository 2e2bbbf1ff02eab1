/** Splits a label into runs of one font, script and direction, in the order in which they are drawn. */
import bidiFactory from 'bidi-js'
import type { LabelFont, ShapingRun } from './font.js'
import { fontsFor } from './fonts.js'
import { scriptOf } from './script.js'

/** What a person sees as one character. */
export interface Grapheme {
  text: string
  font: LabelFont
  /** ISO 15924; `Zyyy` where it is of no script. */
  script: string
}

/** A run and its font. */
export interface FontRun extends ShapingRun {
  font: LabelFont
}

/** Stands for what no font has. */
const REPLACEMENT = '\ufffd'

const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' })
const bidi = bidiFactory()

/** Characters that show as a picture and not as a symbol of the text. */
function isEmoji(grapheme: string): boolean {
  if (grapheme.includes('\ufe0e')) return false
  return /\p{Emoji_Presentation}|\p{Extended_Pictographic}\p{Emoji_Modifier}|\ufe0f|\u20e3/u.test(grapheme)
}

/** Joiners, selectors and other characters that are seen only by what they do to their neighbours. */
const isIgnorable = (character: string) => /\p{Default_Ignorable_Code_Point}/u.test(character)

const isBlank = (text: string) => [...text].every((character) => /\s/u.test(character) || isIgnorable(character))

function covers(font: LabelFont, character: string): boolean {
  return isIgnorable(character) || font.covers(character.codePointAt(0)!)
}

/** A label, character by character, and what of it no font has. */
export interface FittedText {
  graphemes: Grapheme[]
  /** Whether anything of it can be read; not so where nothing can be drawn but blanks and replacement characters. */
  readable: boolean
  /** Scripts (ISO 15924) of characters that cannot be drawn; `Zyyy` for symbols. */
  missing: ReadonlySet<string>
}

/**
 * Finds a font for each character of a clean text. What no font has becomes one replacement character for each stretch.
 * @param chosen Fonts that come before those of the package.
 */
export async function fitFonts(text: string, chosen: readonly LabelFont[]): Promise<FittedText> {
  const graphemes: Grapheme[] = []
  const missing = new Set<string>()
  let readable = false
  let script = 'Zyyy'
  for (const { segment } of segmenter.segment(text)) {
    const own = [...segment].map(scriptOf).find((code) => code !== undefined)
    script = own ?? script
    // Punctuation between letters of a script may be in the font of these letters only.
    const previous = own === undefined ? graphemes.at(-1)?.font : undefined
    const found = await findFont(segment, { script: own, emoji: isEmoji(segment), text }, chosen, previous)
    if (found) {
      graphemes.push({ ...found, script })
      readable ||= !isBlank(found.text)
    } else {
      missing.add(own ?? 'Zyyy')
      if (graphemes.at(-1)?.text === REPLACEMENT) continue
      const sign = await findFont(REPLACEMENT, { script: undefined, emoji: false, text }, [])
      graphemes.push({ ...sign!, script: 'Zyyy' })
    }
  }
  return { graphemes, readable, missing }
}

/** The best font for a character, and what it draws of it: a mark that no font has is left out. */
async function findFont(
  segment: string,
  wish: { script: string | undefined; emoji: boolean; text: string },
  chosen: readonly LabelFont[],
  previous?: LabelFont,
): Promise<{ text: string; font: LabelFont } | undefined> {
  const characters = [...segment]
  // A blank belongs to the word before it: fonts differ in how wide it is.
  if (previous && isBlank(segment) && characters.every((character) => covers(previous, character)))
    return { text: segment, font: previous }
  let partly: LabelFont | undefined
  for await (const font of fontsFor(wish, chosen)) {
    if (characters.every((character) => covers(font, character))) return { text: segment, font }
    if (!isIgnorable(characters[0]!) && covers(font, characters[0]!)) partly ??= font
  }
  if (previous && characters.every((character) => covers(previous, character))) return { text: segment, font: previous }
  if (!partly) return undefined
  const font = partly
  return { text: characters.filter((character) => covers(font, character)).join(''), font }
}

/**
 * The runs from left to right, by the Unicode bidirectional algorithm.
 * @returns `rightToLeft`: the direction of the whole, which the first letter decides.
 */
export function toRuns(graphemes: readonly Grapheme[]): { runs: FontRun[]; rightToLeft: boolean } {
  const text = graphemes.map((grapheme) => grapheme.text).join('')
  const { levels, paragraphs } = bidi.getEmbeddingLevels(text)
  const runs: (FontRun & { level: number })[] = []
  let start = 0
  for (const { text: part, font, script } of graphemes) {
    const end = start + part.length
    const level = levels[start] ?? 0
    const last = runs.at(-1)
    if (last && last.font === font && last.script === script && last.level === level) last.end = end
    else runs.push({ text, start, end, script, font, level, rightToLeft: level % 2 === 1 })
    start = end
  }
  return { runs: inVisualOrder(runs), rightToLeft: (paragraphs[0]?.level ?? 0) % 2 === 1 }
}

/** Rule L2: from the highest level to the lowest odd one, every stretch of at least that level is turned round. */
function inVisualOrder<Run extends { level: number }>(runs: Run[]): Run[] {
  let ordered = runs
  for (let level = Math.max(0, ...runs.map((run) => run.level)); level >= 1; level--) {
    const next: Run[] = []
    let turned: Run[] = []
    for (const run of ordered) {
      if (run.level >= level) turned.unshift(run)
      else {
        next.push(...turned, run)
        turned = []
      }
    }
    ordered = [...next, ...turned]
  }
  return ordered
}
