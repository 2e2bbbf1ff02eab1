/** How values of a caller are put into messages: readable, on one line, and never whole where they are long. */
import { inspect } from 'node:util'

/** Characters of a value in a message: enough for any usual path, too few for a picture. */
const LONGEST = 200

/** A text as it is where it is short, else its beginning, its end and how long it is. */
export function shortened(text: string, longest = LONGEST): string {
  if (text.length <= longest) return text
  const end = Math.floor(longest / 4)
  return `${text.slice(0, longest - end)} … ${text.slice(-end)} (${text.length} characters)`
}

/**
 * Any value for a message: strings in quotes, lists and objects as far as they are short. Never throws, whatever the
 * value is.
 */
export function shown(value: unknown): string {
  try {
    const options = { depth: 1, maxArrayLength: 8, maxStringLength: LONGEST, breakLength: Number.POSITIVE_INFINITY }
    return shortened(inspect(value, { ...options, compact: true, customInspect: false }))
  } catch {
    return typeof value // a proxy or a getter that throws
  }
}

/** What kind of thing a value is, for "expected an image, but got …". */
export function kindOf(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'function') return `a ${typeof value}`
  if (typeof value !== 'object' || value === null) return shown(value)
  if (Array.isArray(value)) return 'an array'
  return `an object of type ${shortened(String(value.constructor?.name || 'Object'), 40)}`
}
