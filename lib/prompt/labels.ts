/** Whether a box or a point says "this" or "not this", as the engine takes it. */
import { Sam3InputError } from '../base/errors.js'
import { shown } from '../base/shown.js'
import type { PromptLabel } from './types.js'

/**
 * 1 for positive, 0 for negative.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT` for anything else.
 */
export function toLabel(label: PromptLabel | undefined, name: string): 0 | 1 {
  if (label === undefined || label === 'positive' || label === 1) return 1
  if (label === 'negative' || label === 0) return 0
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `The label of ${name} is ${shown(label)}.`, {
    fix: "Use 'positive' (or 1) or 'negative' (or 0).",
  })
}
