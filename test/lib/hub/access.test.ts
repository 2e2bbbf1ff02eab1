/** Tokens, and what a user is told when the hub refuses. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { AccessReason } from '../../../lib/base/errors.js'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import { findToken } from '../../../lib/hub/token.js'
import type { Grant } from '../../support/hub-server/hub-server.js'
import { REPO, sandbox, TOKEN } from '../../support/hub-server/sandbox.js'
import { rejection } from '../../support/model.js'

const box = sandbox()
const { server } = box

/** Everything that an error shows, its causes included. */
function shown(error: unknown): string {
  const parts: string[] = []
  for (let one = error; one instanceof Error; one = one.cause)
    parts.push(one.message, one.stack ?? '', JSON.stringify(one))
  return parts.join('\n')
}

describe('a gated model', () => {
  it.each<[string, Grant | undefined, string, AccessReason, RegExp]>([
    [
      'without a token',
      undefined,
      '',
      'token-missing',
      /no Hugging Face token was found.*1\. Open .*2\. Make a token.*3\. Log in.*HF_TOKEN/s,
    ],
    [
      'with a token that nobody knows',
      undefined,
      'hf_unknown',
      'token-invalid',
      /does not know the token \(from HF_TOKEN\).*1\. Make/s,
    ],
    [
      'with a token without a grant',
      'none',
      TOKEN,
      'not-granted',
      /has not been given access.*1\. Open .*ask for access/s,
    ],
    [
      'with a fine-grained token without the right',
      'no-scope',
      TOKEN,
      'token-scope',
      /may not read gated.*1\. Edit the token/s,
    ],
    ['while the request is pending', 'pending', TOKEN, 'pending', /waiting for its review.*1\. Wait/s],
    ['after the request was refused', 'rejected', TOKEN, 'rejected', /was refused.*1\. Read the terms/s],
  ])('%s', async (_name, grant, token, reason, text) => {
    box.fresh(10_000, true)
    server.tokens.clear()
    if (grant) server.tokens.set(token, grant)
    const error = await rejection(resolveRepository(REPO, {}, box.env({ HF_TOKEN: token })))
    expect(error).toMatchObject({ code: 'ERR_MODEL_ACCESS', reason, name: 'Sam3HubError' })
    expect(error.message).toMatch(/^Access to model facebook\/sam3 is restricted/)
    expect(error.message).toMatch(text)
    if (token) expect(shown(error)).not.toContain(token)
    // A refusal is final: nothing is tried twice.
    expect(server.requests.filter(({ status }) => status === 401 || status === 403).length).toBeLessThanOrEqual(4)
  })

  it('is told from one that does not exist', async () => {
    box.fresh()
    const error = await rejection(resolveRepository('facebook/sam9', {}, box.env()))
    expect(error).toMatchObject({ code: 'ERR_MODEL_NOT_FOUND', message: expect.stringContaining('facebook/sam9') })
    expect(existsSync(box.cache)).toBe(false)
    const unknown = await rejection(resolveRepository('facebook/sam9', {}, box.env({ HF_TOKEN: '' })))
    expect(unknown).toMatchObject({ code: 'ERR_MODEL_NOT_FOUND', message: expect.stringContaining('HF_TOKEN') })
  })
})

describe('the token', () => {
  it('comes from the option, then HF_TOKEN, then the token file', () => {
    box.fresh()
    const home = path.join(box.root, 'token-home')
    mkdirSync(path.join(home, 'huggingface'), { recursive: true })
    const env = { XDG_CACHE_HOME: home }
    expect(findToken(undefined, env)).toBeUndefined()
    writeFileSync(path.join(home, 'huggingface/token'), ' hf_default\n')
    expect(findToken(undefined, env)).toEqual({ value: 'hf_default', source: `${home}/huggingface/token` })
    writeFileSync(path.join(home, 'token'), 'hf_home')
    expect(findToken(undefined, { ...env, HF_HOME: home })?.value).toBe('hf_home')
    writeFileSync(path.join(home, 'other'), 'hf_path')
    const all = { ...env, HF_HOME: home, HF_TOKEN_PATH: path.join(home, 'other') }
    expect(findToken(undefined, all)?.value).toBe('hf_path')
    expect(findToken(undefined, { ...all, HF_TOKEN: 'hf_env' })).toEqual({ value: 'hf_env', source: 'HF_TOKEN' })
    expect(findToken('hf_option', { ...all, HF_TOKEN: 'hf_env' })?.value).toBe('hf_option')
    expect(findToken(undefined, { ...all, HF_TOKEN: '  ' })?.value).toBe('hf_path')
  })

  it('set in code before the call works', async () => {
    box.fresh(10_000, true)
    const before = { ...process.env }
    Object.assign(process.env, box.env({ HF_TOKEN: '' }))
    delete process.env.HF_HOME
    try {
      expect((await rejection(resolveRepository(REPO))).code).toBe('ERR_MODEL_ACCESS')
      process.env.HF_TOKEN = TOKEN
      expect(await resolveRepository(REPO)).toContain('snapshots')
    } finally {
      for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
      Object.assign(process.env, before)
    }
  })

  it('is in no error, whatever fails', async () => {
    const failures: [string, () => void, Record<string, string>][] = [
      [
        'a server that repeats it',
        () =>
          (server.faults = [
            ({ authorization }) => ({ status: 400, headers: { 'x-error-message': `you sent ${authorization}` } }),
          ]),
        {},
      ],
      [
        'a broken connection',
        () => (server.faults = [() => ({ breakAfter: 0 })]),
        { HF_ENDPOINT: 'http://127.0.0.1:1' },
      ],
      ['a token with a line break in it', () => {}, { HF_TOKEN: `${TOKEN}\nX-Evil: 1` }],
      ['an address with a password', () => {}, { HF_ENDPOINT: `http://user:${TOKEN}@127.0.0.1:1` }],
      [
        'a redirect to nowhere',
        () => (server.faults = [() => ({ status: 302, headers: { location: 'http://127.0.0.1:1/x' } })]),
        {},
      ],
    ]
    for (const [name, arrange, env] of failures) {
      box.fresh()
      arrange()
      const error = await rejection(resolveRepository(REPO, {}, box.env(env), { retry: { pause: 1, attempts: 2 } }))
      expect(error.code, name).toMatch(/^ERR_/)
      expect(shown(error), name).not.toContain(TOKEN)
    }
  })

  it('is not sent to another host or port on a redirect', async () => {
    box.fresh()
    server.faults = [
      ({ host, path: where }) =>
        host === 'hub' && where.endsWith('config.json') && !where.includes('resolve-cache')
          ? { status: 302, headers: { location: `${server.endpoint.replace('127.0.0.1', 'localhost')}/stolen` } }
          : undefined,
    ]
    await rejection(resolveRepository(REPO, {}, box.env(), { retry: { pause: 1, attempts: 2 } }))
    const stolen = server.requests.filter(({ path: where }) => where === '/stolen')
    expect(stolen.length).toBeGreaterThan(0)
    expect(stolen.every(({ authorization }) => authorization === undefined)).toBe(true)
  })
})
