/**
 * Repair of mojibake: text that was UTF-8, was decoded in a one-byte encoding, and so reads "schÃ¶n" for
 * "schön". The decisions are those of ftfy 6.3 (`fix_encoding` with its defaults; Copyright Robyn Speer,
 * Apache-2.0): text is changed only when it looks broken (`looksBroken`) and the result decodes.
 */
import { CODE_PAGES, MOJIBAKE_CLASSES as M, UTF8_CLUES as U } from './mojibake-tables.js'

const ACCENTED = M.lowerAccented + M.upperAccented
const PUNCTUATION = M.startPunctuation + M.endPunctuation
/** Classes whose members, next to a "bad" character, are evidence of mojibake. */
const SUSPICIOUS = ACCENTED + M.box + PUNCTUATION + M.currency + M.numeric + M.law
/** White space and word characters as Python's `re` has them (JavaScript's \w is ASCII only). */
const SPACE = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'
const WORD = '[\\p{L}\\p{N}_]'
const ARABIC_SECOND = `[${M.common}${M.currency}${M.bad}${M.numeric}${M.startPunctuation}ŸŠ®°µ»]`

/** Pairs and triples of characters that hardly occur in text that is not broken. */
const BROKEN = new RegExp(
  [
    `[${M.c1}]`,
    `[${M.bad}${SUSPICIOUS}][${M.bad}]`,
    `[a-zA-Z][${M.lowerCommon}${M.upperCommon}][${M.bad}]`,
    `[${M.bad}][${SUSPICIOUS}]`,
    `[${M.lowerAccented}${M.lowerCommon}${M.box}${M.endPunctuation}${M.currency}${M.numeric}][${M.upperAccented}]`,
    `[${M.box}${M.endPunctuation}${M.currency}${M.numeric}][${M.lowerAccented}]`,
    `[${M.lowerAccented}${M.box}${M.endPunctuation}][${M.currency}]`,
    `${SPACE}[${M.upperAccented}][${M.currency}]`,
    `[${M.upperAccented}${M.box}][${M.numeric}${M.law}]`,
    `[${ACCENTED}${M.box}${M.currency}${M.endPunctuation}][${M.startPunctuation}][${M.numeric}]`,
    `[${ACCENTED}${M.currency}${M.numeric}${M.box}${M.law}][${M.endPunctuation}][${M.startPunctuation}]`,
    `[${M.currency}${M.numeric}${M.box}][${M.startPunctuation}]`,
    `[a-z][${M.upperAccented}][${M.startPunctuation}${M.currency}]`,
    `[${M.box}][${M.kaomoji}]`,
    `[${ACCENTED}${M.currency}${M.numeric}${PUNCTUATION}${M.law}][${M.box}]`,
    `[${M.box}][${M.endPunctuation}]`,
    `[${ACCENTED}][${PUNCTUATION}]${WORD}`,
    // The ligature œ when no unaccented Latin letter follows; degree signs after capital letters.
    '[Œœ][^A-Za-z]',
    `[${M.upperAccented}]°`,
    // Windows-1252: pairs that the classes above do not cover, then Arabic (four characters asked for,
    // because its second halves are common), then the start of South Asian letters.
    `[ÂÃÎÐ][€œŠš¢£Ÿž\\xa0\\xad®©°·»${PUNCTUATION}–—´]`,
    '×[²³]',
    `[ØÙ]${ARABIC_SECOND}[ØÙ]${ARABIC_SECOND}`,
    'à[²µ¹¼½¾]',
    // MacRoman.
    '√[±∂†≠®™´≤≥¥µø]',
    '≈[°¢]',
    '‚Ä[ìîïòôúùû†°¢π]',
    '‚[âó][àä°ê]',
    // Windows-1251: U+2000..U+2FFF, then Latin-1 or Cyrillic (three characters), then twice-broken quotes.
    'вЂ',
    `[ВГРС][${M.c1}${M.bad}${PUNCTUATION}${M.currency}°µ][ВГРС]`,
    'ГўВЂВ.[A-Za-z ]',
    // Windows-1252 'à', 'á' and the no-break space itself.
    'Ã[\\xa0¡]',
    `[a-z]${SPACE}?[ÃÂ][ ]`,
    '^[ÃÂ][ ]',
    `[a-z.,?!${M.endPunctuation}]Â[ ${PUNCTUATION}]`,
    // Windows-1253: U+2000..U+2FFF, then Latin-1 or Greek; Windows-1257.
    'β€[™\\xa0Ά\\xad®°]',
    `[ΒΓΞΟ][${M.c1}${M.bad}${PUNCTUATION}${M.currency}°][ΒΓΞΟ]`,
    'ā€',
  ].join('|'),
  'u',
)

/** Runs of characters that read as UTF-8 sequences in some one-byte encoding, not inside a longer garble. */
const EMBEDDED_UTF8 = new RegExp(
  `(?<![${U.continuationStrict}])(?:[${U.firstOf2}][${U.continuation}]` +
    `|[${U.firstOf3}][${U.continuation}]{2}|[${U.firstOf4}][${U.continuation}]{3})+`,
  'gu',
)

// The byte expressions below run on byte strings (one character per byte, 0..255).

/** UTF-8 whose 0xA0 was turned into a plain space, where restoring it gives a likely character. */
const LOST_NO_BREAK_SPACE = new RegExp(
  [
    '[\\xc2\\xc3\\xc5\\xce\\xd0\\xd9] ',
    '[\\xe2\\xe3] [\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf]',
    '[\\xe0-\\xe3][\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf] ',
    '\\xf0 [\\x80-\\xbf][\\x80-\\xbf]',
    '\\xf0[\\x80-\\xbf] [\\x80-\\xbf]',
    '\\xf0[\\x80-\\xbf][\\x80-\\xbf] ',
  ].join('|'),
  'g',
)
/** " Ã " alone is the word "à": keep the space after it, except in the Portuguese contractions. */
const A_GRAVE_WORD = /\xc3 (?! |quele|quela|quilo|s )/g

/** UTF-8 sequences of which some bytes were lost (0x1A stands for U+FFFD, at most one '?'). */
const LOSSY_UTF8 = new RegExp(
  [
    '[\\xc2-\\xdf]\\x1a',
    '[\\xc2-\\xc3]\\?',
    '\\xed[\\xa0-\\xaf][\\x1a?]\\xed[\\xb0-\\xbf][\\x1a?\\x80-\\xbf]',
    '\\xed[\\xa0-\\xaf][\\x1a?\\x80-\\xbf]\\xed[\\xb0-\\xbf][\\x1a?]',
    '[\\xe0-\\xef][\\x1a?][\\x1a\\x80-\\xbf]',
    '[\\xe0-\\xef][\\x1a\\x80-\\xbf][\\x1a?]',
    '[\\xf0-\\xf4][\\x1a?][\\x1a\\x80-\\xbf][\\x1a\\x80-\\xbf]',
    '[\\xf0-\\xf4][\\x1a\\x80-\\xbf][\\x1a?][\\x1a\\x80-\\xbf]',
    '[\\xf0-\\xf4][\\x1a\\x80-\\xbf][\\x1a\\x80-\\xbf][\\x1a?]',
    '\\x1a',
  ].join('|'),
  'g',
)
const REPLACEMENT_BYTES = '\xef\xbf\xbd'

/** Each encoding as a map from characters to bytes. In a sloppy one, 0x1A stands for U+FFFD. */
const ENCODERS = CODE_PAGES.map(({ name, sloppy, high }) => {
  const bytes = new Map<string, string>()
  for (let byte = 0; byte < 0x80; byte++) bytes.set(String.fromCharCode(byte), String.fromCharCode(byte))
  if (sloppy) {
    bytes.delete('\x1a')
    bytes.set('\ufffd', '\x1a')
  }
  for (const [index, character] of [...high].entries()) bytes.set(character, String.fromCharCode(0x80 + index))
  return { name, sloppy, bytes }
})

/** Windows-1252 by its C1 numbers; the five bytes that it leaves undefined decode to themselves here. */
const WINDOWS_1252 = CODE_PAGES.find((page) => page.name === 'windows-1252')!.high
const WINDOWS_1252_HOLES = /[\x81\x8d\x8f\x90\x9d]/
const C1 = /[\x80-\x9f]/g

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Text to a byte string in a one-byte encoding, or undefined where a character has no byte. */
function encode(text: string, bytes: ReadonlyMap<string, string>): string | undefined {
  let encoded = ''
  for (const character of text) {
    const byte = bytes.get(character)
    if (byte === undefined) return undefined
    encoded += byte
  }
  return encoded
}

/** Decodes UTF-8, its two popular variants included: surrogate pairs as 3 + 3 bytes (CESU-8), and C0 80 for NUL (Java). */
function decodeUtf8(bytes: string): string | undefined {
  const standard = bytes.replace(/\xc0\x80|\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]/g, (sequence) => {
    if (sequence.length === 2) return '\0'
    const at = (index: number) => sequence.charCodeAt(index)
    const code = 0x10000 + ((at(1) & 0x0f) << 16) + ((at(2) & 0x3f) << 10) + ((at(4) & 0x0f) << 6) + (at(5) & 0x3f)
    return code > 0x10ffff ? sequence : Buffer.from(String.fromCodePoint(code)).toString('latin1')
  })
  try {
    return strictUtf8.decode(Buffer.from(standard, 'latin1'))
  } catch {
    return undefined
  }
}

/** True when the text holds a sequence of characters that hardly occurs outside mojibake. */
export function looksBroken(text: string): boolean {
  return BROKEN.test(text)
}

/** Replaces C1 control characters by what Windows-1252 has at their number, as browsers do. */
export function fixC1Controls(text: string): string {
  return text.replace(C1, (character) => WINDOWS_1252[character.charCodeAt(0) - 0x80]!)
}

function fixEmbedded(text: string): string {
  return text.replace(EMBEDDED_UTF8, (match) =>
    match.length < text.length && looksBroken(match) ? fixEncoding(match) : match,
  )
}

function fixOneStep(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text) || !looksBroken(text)) return text

  let latin1: string | undefined
  for (const { name, sloppy, bytes } of ENCODERS) {
    let encoded = encode(text, bytes)
    if (encoded === undefined) continue
    if (name === 'latin-1') latin1 = encoded
    // In MacRoman the restored space would be an en dash followed by a space: too likely to be meant.
    if (name !== 'macroman' && encoded.search(LOST_NO_BREAK_SPACE) >= 0) {
      encoded = encoded
        .replace(A_GRAVE_WORD, '\xc3\xa0 ')
        .replace(LOST_NO_BREAK_SPACE, (match) => match.replaceAll(' ', '\xa0'))
    }
    if (sloppy) encoded = encoded.replace(LOSSY_UTF8, REPLACEMENT_BYTES)
    const decoded = decodeUtf8(encoded)
    if (decoded !== undefined) return decoded
  }

  const embedded = fixEmbedded(text)
  if (embedded !== text) return embedded
  // Latin-1 with C1 controls was meant to be Windows-1252.
  if (latin1 !== undefined && !WINDOWS_1252_HOLES.test(latin1)) {
    const windows = fixC1Controls(latin1)
    if (windows !== text) return windows
  }
  return fixC1Controls(text)
}

/** Repairs mojibake, several layers of it where there are, and leaves other text alone. */
export function fixEncoding(text: string): string {
  for (;;) {
    const fixed = fixOneStep(text)
    if (fixed === text) return text
    text = fixed
  }
}
