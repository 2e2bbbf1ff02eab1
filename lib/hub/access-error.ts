/** Turns a refusal of the hub into what the user has to do, which differs from reason to reason. */
import { type AccessReason, Sam3HubError } from '../base/errors.js'
import type { Token } from './token.js'

/** What the hub said. */
export interface Refusal {
  status: number
  /** `X-Error-Code` and `X-Error-Message`; the message of the body where there is no header. */
  code: string
  message: string
}

/**
 * Why, or undefined where the refusal is none of access. The hub says it only in words: "awaiting a review",
 * "rejected", "fine-grained token", "Invalid credentials".
 */
export function accessReason({ status, code, message }: Refusal, token: Token | undefined): AccessReason | undefined {
  if (status !== 401 && status !== 403) return undefined
  if (/awaiting (?:a )?review|pending/i.test(message)) return 'pending'
  if (/reject|denied by/i.test(message)) return 'rejected'
  if (/fine-grained|token settings|permissions? of (?:the|your) token/i.test(message)) return 'token-scope'
  if (!token) return 'token-missing'
  if (code === 'GatedRepo' && status === 403) return 'not-granted'
  if (status === 401) return code === 'GatedRepo' ? 'not-granted' : 'token-invalid'
  return 'not-granted'
}

const TOKENS_PAGE = 'https://huggingface.co/settings/tokens'

function logIn(): string[] {
  return [
    `Make a token of the kind "Read" at ${TOKENS_PAGE}.`,
    'Log in with it (hf auth login), or set HF_TOKEN, or pass the option accessToken.',
  ]
}

function numbered(steps: readonly string[]): string {
  return steps.map((step, index) => `\n  ${index + 1}. ${step}`).join('')
}

/** The error for a reason, with numbered steps. */
export function accessError(
  repo: string,
  endpoint: string,
  reason: AccessReason,
  token: Token | undefined,
  cause: unknown,
): Sam3HubError {
  const page = `${endpoint}/${repo}`
  const from = token ? ` (from ${token.source})` : ''
  const texts: Record<AccessReason, { why: string; steps: string[] }> = {
    'token-missing': {
      why: 'no Hugging Face token was found.',
      steps: [`Open ${page}, log in, and ask for access with the form there.`, ...logIn(), 'Run this again.'],
    },
    'token-invalid': {
      why: `the hub does not know the token${from}: it is mistyped, expired or deleted.`,
      steps: [...logIn(), `Check with: sam3-node doctor. Access itself is asked for at ${page}.`],
    },
    'token-scope': {
      why: `the token${from} may not read gated repositories.`,
      steps: [
        `Edit the token at ${TOKENS_PAGE}: enable "Read access to contents of all public gated repos you can access".`,
        'Or make one of the kind "Read" and set HF_TOKEN to it.',
        'Run this again.',
      ],
    },
    'not-granted': {
      why: `the account of the token${from} has not been given access.`,
      steps: [
        `Open ${page} with the same account, and ask for access with the form there.`,
        'Wait for the mail that says that it was granted.',
        'Run this again; the token stays the same.',
      ],
    },
    pending: {
      why: 'access was asked for, and the request is waiting for its review.',
      steps: [
        'Wait for the mail that says that it was granted.',
        `Its state is shown at ${page}.`,
        'Run this again; the token stays the same.',
      ],
    },
    rejected: {
      why: 'the request for access was refused by its authors.',
      steps: [
        `Read the terms and the state of the request at ${page}.`,
        'Use a token of an account that has access, or write to the authors of the model.',
        "Or load weights that you have by other means: model: './folder'.",
      ],
    },
  }
  const { why, steps } = texts[reason]
  return new Sam3HubError('ERR_MODEL_ACCESS', `Access to model ${repo} is restricted: ${why}`, {
    reason,
    cause,
    fix: `What to do:${numbered(steps)}`,
  })
}
