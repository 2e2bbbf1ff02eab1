/** The calls that recorded runs consist of, as the goldens write them: `name(key=value, key: value, key value, …)`. */

/** A recorded call, taken apart. */
export interface GoldenCall {
  name: string
  /** The value of an argument; undefined where it is absent or None. */
  value(key: string): unknown
}

const VALUE = String.raw`\[\[.*?\]\]|\[.*?\]|'[^']*'|"[^"]*"|[\w.-]+`

/** Python's literals as JSON has them: `.5`, `'text'`. */
function parse(literal: string): unknown {
  if (literal === 'None') return undefined
  if (literal === 'True' || literal === 'False') return literal === 'True'
  if (literal.startsWith("'")) return literal.slice(1, -1)
  return JSON.parse(literal.replace(/(?<![\d.])\.(?=\d)/g, '0.').replace(/(?<=\d)\.(?!\d)/g, ''))
}

/** Takes a recorded call apart. */
export function parseCall(call: string): GoldenCall {
  return {
    name: /^\w+/.exec(call)?.[0] ?? '',
    value(key) {
      const literal = new RegExp(`\\b${key}'?[=: ] ?(${VALUE})`).exec(call)?.[1]
      return literal === undefined ? undefined : parse(literal)
    },
  }
}
