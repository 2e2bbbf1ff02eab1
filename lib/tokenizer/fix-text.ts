/**
 * The text repair that SAM 3's tokenizer applies before anything else: the equivalent of `ftfy.fix_text` 6.3
 * with its defaults (Copyright Robyn Speer, Apache-2.0). Curly quotes, ligatures, full-width letters,
 * entities, control characters and mojibake become what a person meant to type; the result is NFC.
 */
import { namedReference, unescapeHtml } from './html.js'
import { fixC1Controls, fixEncoding } from './mojibake.js'

const LIGATURES: Readonly<Record<string, string>> = {
  Ĳ: 'IJ',
  ĳ: 'ij',
  ŉ: 'ʼn',
  Ǳ: 'DZ',
  ǲ: 'Dz',
  ǳ: 'dz',
  Ǆ: 'DŽ',
  ǅ: 'Dž',
  ǆ: 'dž',
  Ǉ: 'LJ',
  ǈ: 'Lj',
  ǉ: 'lj',
  Ǌ: 'NJ',
  ǋ: 'Nj',
  ǌ: 'nj',
  ﬀ: 'ff',
  ﬁ: 'fi',
  ﬂ: 'fl',
  ﬃ: 'ffi',
  ﬄ: 'ffl',
  ﬅ: 'ſt',
  ﬆ: 'st',
}
const LIGATURE = new RegExp(`[${Object.keys(LIGATURES).join('')}]`, 'g')

/** Characters that a text does not mean to hold: ASCII controls but white space, BOM, annotation marks. */
const CONTROL = /[\x00-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g
const TERMINAL_ESCAPE = /\x1b\[(?:\p{Nd}|;)*[a-zA-Z]/gu

/** Only entities that end in ';', and in addition the all-capitals form of lower-case ones (&EACUTE;). */
function unescapeUnambiguousHtml(text: string): string {
  return text.replace(/&#?[0-9A-Za-z]{1,24};/g, (entity) => {
    const name = entity.slice(1)
    if (name.startsWith('#')) {
      const decoded = unescapeHtml(entity)
      return decoded.includes(';') ? entity : decoded
    }
    const known = namedReference(name)
    if (known !== undefined) return known
    const lower = name.toLowerCase()
    if (name === lower.toUpperCase() && unescapeHtml(entity) === entity) {
      return namedReference(lower)?.toUpperCase() ?? entity
    }
    return entity
  })
}

function fixCharacterWidth(text: string): string {
  return text.replace(/[\u3000\uff01-\uffef]/g, (character) =>
    character === '\u3000' ? ' ' : character.normalize('NFKC'),
  )
}

function fixSegment(text: string, unescapeEntities: boolean): string {
  for (;;) {
    const before = text
    if (unescapeEntities) text = unescapeUnambiguousHtml(text)
    text = fixEncoding(text)
    text = fixC1Controls(text)
    text = text.replace(LIGATURE, (ligature) => LIGATURES[ligature]!)
    text = fixCharacterWidth(text)
    text = text.replace(/[\u201c-\u201f]/g, '"').replace(/[\u02bc\u2018-\u201b]/g, "'")
    text = text.replace(/\r\n|[\r\u2028\u2029\u0085]/g, '\n')
    // A lone surrogate is no character (JavaScript has joined the pairs already).
    text = text.replace(/\p{Surrogate}/gu, '\ufffd')
    text = text.replace(TERMINAL_ESCAPE, '')
    text = text.replace(CONTROL, '')
    text = text.normalize('NFC')
    if (text === before) return text
  }
}

/** Repairs `text` line by line. Once a line holds a '<', entities are taken to be meant as they are from there on. */
export function fixText(text: string): string {
  let unescapeEntities = true
  return (text.match(/[^\n]*\n|[^\n]+/g) ?? [])
    .map((line) => {
      if (line.includes('<')) unescapeEntities = false
      return fixSegment(line, unescapeEntities)
    })
    .join('')
}
