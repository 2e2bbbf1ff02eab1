/** Options of the service as flags of its commands. */
import { Option } from 'commander'
import { flagName, type OptionAbout } from '../config/schema.js'

/** Beyond the time in which running work may end, before the process is ended by force. */
export const LAST_RESORT = 5000

/** What every command of the service has besides its options. */
export interface ServiceFlags extends Record<string, unknown> {
  config?: string
  printConfig?: boolean
}

export function flagOf(about: OptionAbout): Option {
  const { type, default: fallback } = about
  const flag = `--${flagName(about.name)}`
  const value = { string: ' <text>', number: ' <n>', boolean: ' [on]', list: ' <list>' }[type]
  const shown = fallback === undefined ? '' : ` (default: ${String(fallback)})`
  return new Option(flag + value, about.description + shown)
}
