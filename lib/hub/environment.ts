/** What the environment says about Hugging Face, read anew on every call so that setting `process.env` in code works. */
import { Sam3InputError } from '../base/errors.js'
import { expandPath, type Environment } from '../base/expand.js'

const DEFAULT_ENDPOINT = 'https://huggingface.co'
/** The values that Python's huggingface_hub takes for true. */
const TRUE = new Set(['1', 'ON', 'YES', 'TRUE'])

/**
 * `HF_HOME`, or where it is by default. Joined before it is expanded, and not normalized, as in Python. An empty
 * variable counts as one that is not set: Python would take the working directory, which nobody means.
 */
export function huggingFaceHome(env: Environment): string {
  return expandPath(env.HF_HOME || `${env.XDG_CACHE_HOME || expandPath('~/.cache', env)}/huggingface`, env)
}

/** Whether the environment forbids the network. */
export function isOffline(env: Environment): boolean {
  return TRUE.has((env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE || '').toUpperCase())
}

/**
 * The hub's address without a slash at its end.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`
 */
export function hubEndpoint(env: Environment): string {
  const endpoint = (env.HF_ENDPOINT || DEFAULT_ENDPOINT).replace(/\/+$/, '')
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  // The value is not repeated: an address with a password in it must not reach a log.
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'HF_ENDPOINT is not a usable address.', {
      fix: `Set it to an http or https address without user name and password, or unset it for ${DEFAULT_ENDPOINT}.`,
    })
  }
  return endpoint
}
