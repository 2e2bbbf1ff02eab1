/** Text as SVG outlines, so that a picture looks the same on a machine without any font installed. */
import { readFileSync } from 'node:fs'
import opentype, { type Font, type Glyph } from 'opentype.js'
import { packageRequire } from '../native/package-root.js'

let loaded: Font | undefined

/** DejaVu Sans Bold: Latin, Greek, Cyrillic, Arabic, Hebrew and symbols in one file. Read on first use. */
function font(): Font {
  if (!loaded) {
    const path = packageRequire().resolve('@fontsource/dejavu-sans/files/dejavu-sans-latin-700-normal.woff')
    const file = readFileSync(path)
    loaded = opentype.parse(file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength))
  }
  return loaded
}

/** The glyph of each character. One to one, without ligatures or shaping: a label must never fail on odd text. */
function glyphs(text: string): Glyph[] {
  return [...text].map((character) => font().charToGlyph(character))
}

function advance(glyph: Glyph, size: number): number {
  return ((glyph.advanceWidth ?? 0) * size) / font().unitsPerEm
}

/** Width of one line of `text` in pixels at `size` pixels to the em. */
export function textWidth(text: string, size: number): number {
  return glyphs(text).reduce((width, glyph) => width + advance(glyph, size), 0)
}

/** SVG path data of one line of `text`, its baseline starting at (`x`, `y`). */
export function textPath(text: string, x: number, y: number, size: number): string {
  let path = ''
  for (const glyph of glyphs(text)) {
    path += glyph.getPath(x, y, size).toPathData(1)
    x += advance(glyph, size)
  }
  return path
}

/** `text`, shortened with an ellipsis where it is wider than `width`. */
export function fitText(text: string, size: number, width: number): string {
  if (textWidth(text, size) <= width) return text
  const letters = [...text]
  while (letters.length > 1 && textWidth(`${letters.join('')}…`, size) > width) letters.pop()
  return `${letters.join('').trimEnd()}…`
}
