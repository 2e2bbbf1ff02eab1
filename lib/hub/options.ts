/** The checks of what a user passes about downloads. */
import { Sam3InputError } from '../base/errors.js'
import { checkBoolean } from '../base/checks.js'
import { checkRevision } from './layout.js'
import type { HubOptions } from './types.js'

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT`. The value of a token is in no message. */
export function checkHubOptions(options: HubOptions): void {
  for (const name of ['accessToken', 'cacheDir', 'revision'] as const) {
    const value: unknown = options[name]
    if (value !== undefined && (typeof value !== 'string' || value === '')) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} must be a text that is not empty.`, {
        fix: 'Leave it out for the default.',
      })
    }
  }
  if (options.revision !== undefined) checkRevision(options.revision)
  checkBoolean(options.offline, 'offline')
  if (options.onProgress !== undefined && typeof options.onProgress !== 'function') {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'onProgress must be a function.', {
      fix: 'Leave it out for no progress.',
    })
  }
}
