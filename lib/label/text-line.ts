/** One line of text as glyphs with places, and as SVG outlines: a picture then looks the same on every machine. */
import type { LabelFont, PlacedGlyph } from './font.js'
import { type Grapheme, toRuns } from './runs.js'

/** A line of text that is laid out; lengths in em, y upward from the baseline. */
export interface TextLine {
  /** From the left end of the ink or of the text, whichever comes first, to the right end. */
  width: number
  /** Of the ink. */
  top: number
  bottom: number
  glyphs: readonly LineGlyph[]
  /** Whether it is read from right to left. */
  rightToLeft: boolean
}

/** A glyph at its place in the line. */
export interface LineGlyph extends PlacedGlyph {
  font: LabelFont
}

/** Lays out a line. */
export function layOut(graphemes: readonly Grapheme[]): TextLine {
  const glyphs: LineGlyph[] = []
  const ink = { left: 0, right: 0, top: 0, bottom: 0 }
  let pen = 0
  const { runs, rightToLeft } = toRuns(graphemes)
  for (const run of runs) {
    for (const glyph of run.font.shape(run)) {
      const x = pen + glyph.x
      const box = run.font.box(glyph.id)
      if (box) {
        glyphs.push({ ...glyph, x, font: run.font })
        ink.left = Math.min(ink.left, x + box.left)
        ink.right = Math.max(ink.right, x + box.right)
        ink.top = Math.max(ink.top, glyph.y + box.top)
        ink.bottom = Math.min(ink.bottom, glyph.y + box.bottom)
      }
      pen += glyph.advance
    }
  }
  const moved = glyphs.map((glyph) => ({ ...glyph, x: glyph.x - ink.left }))
  const width = Math.max(pen, ink.right) - ink.left
  return { width, top: ink.top, bottom: ink.bottom, glyphs: moved, rightToLeft }
}

/** Between a name and what follows it, in em. */
const GAP = 0.35

/**
 * A name and its number, the number last in the direction in which the name is read. It is not laid out with the name:
 * a number behind an Arabic word in an English name would move in front of that word.
 */
function join(name: TextLine, suffix: TextLine): TextLine {
  if (suffix.glyphs.length === 0) return name
  if (name.glyphs.length === 0) return suffix
  const [first, second] = name.rightToLeft ? [suffix, name] : [name, suffix]
  const start = first.width + GAP
  return {
    width: start + second.width,
    top: Math.max(first.top, second.top),
    bottom: Math.min(first.bottom, second.bottom),
    glyphs: [...first.glyphs, ...second.glyphs.map((glyph) => ({ ...glyph, x: glyph.x + start }))],
    rightToLeft: name.rightToLeft,
  }
}

/** The line as SVG elements; its baseline starts at (`x`, `y`), with letters of `size` pixels. */
export function lineSvg({ glyphs }: TextLine, x: number, y: number, size: number): string {
  return glyphs
    .map(({ font, id, x: dx, y: dy }) => {
      const place = `${(x + dx * size).toFixed(2)} ${(y - dy * size).toFixed(2)}`
      const scale = (size / font.unitsPerEm).toPrecision(6)
      return `<path transform="translate(${place}) scale(${scale} -${scale})" d="${font.path(id)}"/>`
    })
    .join('')
}

/**
 * Lays out `name` and `suffix` on a line of at most `width` em. Where it is longer, the end of the name gives way to
 * `ellipsis`; where even that has no room, the suffix goes.
 */
export function layOutWithin(
  width: number,
  name: readonly Grapheme[],
  suffix: readonly Grapheme[],
  ellipsis: readonly Grapheme[],
): TextLine {
  const number = layOut(suffix)
  const whole = join(layOut(name), number)
  if (whole.width <= width) return whole
  const shortened = (count: number) => {
    while (count > 0 && name[count - 1]!.text === ' ') count--
    return layOut([...name.slice(0, count), ...ellipsis])
  }
  const tail = join(shortened(1), number).width <= width ? number : layOut([])
  // Letters join and change with their neighbours, but more of them are hardly ever narrower: halve the interval.
  let [fits, tooMany] = [0, name.length]
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1
    if (join(shortened(middle), tail).width <= width) fits = middle
    else tooMany = middle
  }
  return join(shortened(fits), tail)
}
