/** What the environment says about Hugging Face, read anew on every call so that setting `process.env` in code works. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Sam3InputError } from '../errors.js'

export type Environment = Readonly<Record<string, string | undefined>>

const DEFAULT_ENDPOINT = 'https://huggingface.co'
/** The values that Python's huggingface_hub takes for true. */
const TRUE = new Set(['1', 'ON', 'YES', 'TRUE'])

/** A leading `~` is the user's home, as Python's huggingface_hub reads it. */
export function expandHome(path: string): string {
  return path === '~' || /^~[/\\]/.test(path) ? join(homedir(), path.slice(1)) : path
}

/** `HF_HOME`, or where it is by default. */
export function huggingFaceHome(env: Environment): string {
  if (env.HF_HOME) return expandHome(env.HF_HOME)
  return join(env.XDG_CACHE_HOME ? expandHome(env.XDG_CACHE_HOME) : join(homedir(), '.cache'), 'huggingface')
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
