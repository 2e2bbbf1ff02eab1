/** The checks of what a user passes about downloads. */
import { type Check, checkBoolean, checkListener, checkSignal } from '../base/checks.js'
import { Sam3InputError } from '../base/errors.js'
import { checkRevision } from './layout.js'
import type { HubOptions } from './types.js'

/** The value of a token is in no message. */
const text: Check = (value, name) => {
  if (value === undefined || (typeof value === 'string' && value !== '')) return
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} must be a text that is not empty.`, {
    fix: 'Leave it out for the default.',
  })
}

/** One for each option. They throw Sam3InputError `ERR_INVALID_ARGUMENT`, Sam3AbortError. */
export const HUB_CHECKS: Readonly<Record<keyof HubOptions, Check>> = {
  accessToken: text,
  cacheDir: text,
  revision: (value, name) => {
    text(value, name)
    if (value !== undefined) checkRevision(value as string)
  },
  offline: checkBoolean,
  onProgress: checkListener,
  signal: checkSignal,
}
