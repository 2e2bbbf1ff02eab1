/**
 * HTML character references, decoded as Python's `html.unescape` does (the HTML 5 rules for text content).
 * The reference tokenizer applies it twice, so equal token ids need equal decoding, odd cases included.
 */
import { decodeEntity } from 'html-entities'

const CHARACTER_REFERENCE = /&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/gu

/** What the numbers 0x80..0x9F stand for: Windows-1252, holes kept as they are (HTML 5, 13.2.5.80). */
const C1_REPLACEMENTS = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ'

/** The character(s) of a named reference, with its `;` where it has one, or undefined when there is none of that name. */
export function namedReference(name: string): string | undefined {
  const reference = `&${name}`
  const decoded = decodeEntity(reference, { level: 'html5' })
  return decoded === reference ? undefined : decoded
}

function isForbidden(code: number): boolean {
  return (
    (code >= 0x1 && code <= 0x8) ||
    code === 0xb ||
    (code >= 0xe && code <= 0x1f) ||
    (code >= 0x7f && code <= 0x9f) ||
    (code >= 0xfdd0 && code <= 0xfdef) ||
    (code & 0xfffe) === 0xfffe
  )
}

function numericReference(code: number): string {
  if (code === 0) return '\ufffd'
  if (code >= 0x80 && code <= 0x9f) return C1_REPLACEMENTS[code - 0x80]!
  if ((code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) return '\ufffd'
  if (isForbidden(code)) return ''
  return String.fromCodePoint(code)
}

/** Decodes every character reference in `text`; unknown names stay as they are, `&notit` becomes `¬it`. */
export function unescapeHtml(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(CHARACTER_REFERENCE, (whole: string, body: string) => {
    if (body.startsWith('#')) {
      const digits = body.replace(/;$/, '')
      const code = /^#[xX]/.test(digits) ? Number.parseInt(digits.slice(2), 16) : Number.parseInt(digits.slice(1), 10)
      return numericReference(code)
    }
    const exact = namedReference(body)
    if (exact !== undefined) return exact
    // A legacy name without ';' may be followed by other letters: the longest one wins.
    const letters = [...body]
    for (let end = letters.length - 1; end > 1; end--) {
      const prefix = namedReference(letters.slice(0, end).join(''))
      if (prefix !== undefined) return prefix + letters.slice(end).join('')
    }
    return whole
  })
}
