/** The cleaning of a prompt before it is split into tokens, as SAM 3's own tokenizer does it. */
import { fixText } from './fix-text.js'
import { unescapeHtml } from './html.js'

/** White space as Python has it; JavaScript's `\s` would also take the byte-order mark. */
const SPACES = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g

/**
 * Repairs the text, decodes HTML entities twice, collapses white space and lower-cases.
 * Source: `basic_clean`, `whitespace_clean` and `lower` of the reference tokenizer.
 */
export function cleanText(text: string): string {
  return unescapeHtml(unescapeHtml(fixText(text)))
    .replace(SPACES, ' ')
    .replace(/^ | $/g, '')
    .toLowerCase()
}
