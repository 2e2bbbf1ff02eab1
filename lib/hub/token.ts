/** Finds the Hugging Face token, and keeps it out of everything that is printed. */
import { readFileSync } from 'node:fs'
import { Sam3HubError } from '../base/errors.js'
import { huggingFaceHome } from './environment.js'
import { type Environment, expandPath } from '../base/expand.js'

/** A token and where it came from. `source` can be shown; `value` never is. */
export interface Token {
  value: string
  source: string
}

/** The file that `hf auth login` and `huggingface-cli login` write. */
export function tokenFile(env: Environment): string {
  return expandPath(env.HF_TOKEN_PATH || `${huggingFaceHome(env)}/token`, env)
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // none, or not ours to read: the same as not logged in
  }
}

function* candidates(option: string | undefined, env: Environment): Generator<Token> {
  yield { value: option ?? '', source: 'the option accessToken' }
  yield { value: env.HF_TOKEN ?? '', source: 'HF_TOKEN' }
  yield { value: env.HUGGING_FACE_HUB_TOKEN ?? '', source: 'HUGGING_FACE_HUB_TOKEN' }
  const file = tokenFile(env)
  yield { value: readIfThere(file), source: file }
}

/**
 * The token by falling precedence: option, `HF_TOKEN`, token file. Undefined when there is none.
 * @throws Sam3HubError `ERR_MODEL_ACCESS` for one that cannot be sent in a header
 */
export function findToken(option: string | undefined, env: Environment): Token | undefined {
  for (const { value, source } of candidates(option, env)) {
    const token = value.trim()
    if (token === '') continue
    // fetch would refuse it too, but with the token in its message.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new Sam3HubError('ERR_MODEL_ACCESS', `The token from ${source} has characters that no token has.`, {
        reason: 'token-invalid',
        fix: 'Copy it again from https://huggingface.co/settings/tokens, without quotes, spaces or line breaks.',
      })
    }
    return { value: token, source }
  }
  return undefined
}

/** Takes the token out of a text that came from elsewhere, such as a server's message. */
export function redact(text: string, token: Token | undefined): string {
  return token ? text.replaceAll(token.value, '[token]') : text
}
