/** One font: which characters it has, their shaping by HarfBuzz, and the outlines of its glyphs. */
import { pathToFileURL } from 'node:url'
import type { Buffer as ShapingBuffer, Font as HarfBuzzFont } from 'harfbuzzjs'
import { packageRequire } from '../base/package-root.js'
import { isWoff, unpackWoff } from './woff.js'

interface HarfBuzz {
  module: typeof import('harfbuzzjs')
  /** One for all runs: each holds memory of WebAssembly until the garbage collector comes, which sees no need to. */
  buffer: ShapingBuffer
}

let loaded: Promise<HarfBuzz> | undefined

/** HarfBuzz is WebAssembly in an ES module that starts asynchronously: also CommonJS must import it this way. */
function harfBuzz(): Promise<HarfBuzz> {
  loaded ??= load()
  return loaded
}

async function load(): Promise<HarfBuzz> {
  // By its file: a bundler that followed the import would stop at the `await` of that module, and not say why.
  const file = pathToFileURL(packageRequire().resolve('harfbuzzjs')).href
  const module: HarfBuzz['module'] = await import(file)
  return { module, buffer: new module.Buffer() }
}

/** What is shaped at once: characters of one font, one script and one direction, within their text. */
export interface ShapingRun {
  text: string
  /** Where the run is in the text, in UTF-16 units. */
  start: number
  end: number
  /** ISO 15924, such as `Arab`. */
  script: string
  rightToLeft: boolean
}

/** A glyph and where it goes; lengths in em, y upward from the baseline. */
export interface PlacedGlyph {
  /** Its number in the font. 0 is the box of a missing character. */
  id: number
  advance: number
  x: number
  y: number
}

/** The ink of a glyph in em, y upward. */
export interface GlyphBox {
  left: number
  right: number
  bottom: number
  top: number
}

/** A loaded font. */
export class LabelFont {
  readonly #font: HarfBuzzFont
  readonly #engine: HarfBuzz
  readonly #characters: ReadonlySet<number>
  readonly #covered = new Map<number, boolean>()
  readonly #paths = new Map<number, string>()
  /** Units per em. */
  readonly unitsPerEm: number

  private constructor(engine: HarfBuzz, font: HarfBuzzFont, characters: ReadonlySet<number>) {
    this.#engine = engine
    this.#font = font
    this.#characters = characters
    this.unitsPerEm = font.face.upem
  }

  /**
   * Loads TrueType, OpenType or WOFF; of a collection the first font.
   * @returns undefined where the file is no such font, or has no character.
   * @throws Error (of any kind) when a WOFF is damaged
   */
  static async load(file: Buffer): Promise<LabelFont | undefined> {
    const engine = await harfBuzz()
    const hb = engine.module
    const bytes = isWoff(file) ? await unpackWoff(file) : file
    const face = new hb.Face(new hb.Blob(bytes))
    const characters = new Set(face.collectUnicodes())
    if (characters.size === 0) return undefined
    const font = new hb.Font(face)
    // A variable font may begin at its thinnest, which cannot be read at the size of a label.
    if ('wght' in face.getAxisInfos()) font.setVariations([new hb.Variation('wght', 700)])
    return new LabelFont(engine, font, characters)
  }

  /** Whether the font can draw this code point: it has a glyph, and the glyph is an outline or rightly blank. */
  covers(codePoint: number): boolean {
    let covered = this.#covered.get(codePoint)
    if (covered === undefined) {
      const glyph = this.#characters.has(codePoint) ? this.#font.nominalGlyph(codePoint) : undefined
      // Colour fonts hold bitmaps or layers in place of outlines.
      covered = !!glyph && (/\s/u.test(String.fromCodePoint(codePoint)) || this.path(glyph) !== '')
      this.#covered.set(codePoint, covered)
    }
    return covered
  }

  /** The glyphs of a run from left to right, whichever way it is read. */
  shape({ text, start, end, script, rightToLeft }: ShapingRun): PlacedGlyph[] {
    const { buffer, module } = this.#engine
    buffer.clearContents()
    // With the text around it: letters join over the ends of a run.
    buffer.addText(text, start, end - start)
    buffer.setDirection(rightToLeft ? module.Direction.RTL : module.Direction.LTR)
    buffer.setScript(script)
    buffer.guessSegmentProperties()
    module.shape(this.#font, buffer)
    const em = this.unitsPerEm
    const positions = buffer.getGlyphPositions()
    return buffer.getGlyphInfos().map(({ codepoint: id }, index) => {
      const { xAdvance, xOffset, yOffset } = positions[index]!
      return { id, advance: xAdvance / em, x: xOffset / em, y: yOffset / em }
    })
  }

  /** Undefined for a blank. */
  box(glyph: number): GlyphBox | undefined {
    const extents = this.#font.glyphExtents(glyph)
    if (!extents || extents.width === 0 || extents.height === 0) return undefined
    const { xBearing, yBearing, width, height } = extents // the height is counted downward
    const [left, right, bottom, top] = [xBearing, xBearing + width, yBearing + height, yBearing]
    const em = this.unitsPerEm
    return { left: left / em, right: right / em, bottom: bottom / em, top: top / em }
  }

  /** SVG path data in units of the font, y upward; empty for a blank. */
  path(glyph: number): string {
    let path = this.#paths.get(glyph)
    if (path === undefined) {
      path = this.#font.glyphToPath(glyph)
      this.#paths.set(glyph, path)
    }
    return path
  }
}
