/** A label as one line of sensible length, whatever was passed in. */

/** More than fits on the widest picture. */
const MOST_UNITS = 4000
/** Of one character. Real writing has up to five, in Tibetan; with hundreds they would climb over the picture. */
const MOST_MARKS = 6

/** Line breaks, tabs and control characters become spaces; halves of surrogate pairs vanish. */
export function cleanText(text: string): string {
  const oneLine = text
    .slice(0, MOST_UNITS)
    // Unicode tags and joiners (\p{Cf}) stay: flags, Persian and Hindi need them.
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .replace(/\p{Cs}/gu, '')
    .normalize('NFC')
  return oneLine.replace(new RegExp(`(\\p{Mn}{${MOST_MARKS}})\\p{Mn}+`, 'gu'), '$1').trim()
}
