/** Requests to the service that the page came from. */
import { Problem } from './problem.js'
import { askToken } from './token.js'

/**
 * A part of a request's form. `file`: what a copied request reads the value from, for values too long to read.
 * @typedef {{ name: string, value: string, file?: string }} Field
 * @typedef {{ path: string, fields: Field[] }} Request
 */

/** Kept here and nowhere else: gone with the page. @type {string | undefined} */
let token

export const hasToken = () => token !== undefined

/** The address of an endpoint; the page may lie below a path of a proxy. @param {string} path */
export const addressOf = (path) => new URL(path, document.baseURI).href

/**
 * Posts a form, and once more with a token where the service wants one.
 * @param {string} path
 * @param {FormData} form
 * @param {AbortSignal} signal
 * @returns {Promise<any>} the JSON of the answer
 * @throws {Problem} what the service said, or that it said nothing; the reason of the signal
 */
export async function post(path, form, signal) {
  let answer = await send(path, { method: 'POST', body: form, signal })
  while (answer.status === 401) {
    const given = await askToken(token !== undefined)
    if (given === undefined) break
    token = given
    answer = await send(path, { method: 'POST', body: form, signal })
  }
  return read(answer)
}

/** Deletes what a path names, and waits for nothing: it goes by itself, too. @param {string} path */
export function forget(path) {
  send(path, { method: 'DELETE', keepalive: true }).catch(() => {})
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function send(path, options) {
  /** @type {Record<string, string>} */
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  try {
    return await fetch(addressOf(path), { ...options, headers })
  } catch (error) {
    options.signal?.throwIfAborted()
    throw new Problem({
      title: 'No answer',
      detail: `The service could not be reached (${error instanceof Error ? error.message : error}).`,
      fix: 'See whether it still runs, then try again.',
    })
  }
}

/** @param {Response} answer */
async function read(answer) {
  const type = answer.headers.get('content-type') ?? ''
  const body = /[/+]json\b/.test(type) ? await answer.json() : undefined
  if (answer.ok && body) return body
  const retryAfter = answer.headers.get('retry-after')
  if (body?.detail) throw new Problem({ ...body, retryAfter })
  throw new Problem({
    title: `Status ${answer.status}`,
    detail: 'The answer is not one of this service: something between it and the page may have sent it.',
    fix: 'Look at the proxy before the service.',
  })
}

/**
 * What the service says of its model.
 * @returns {Promise<{ isDemo: boolean, words?: string[] }>}
 */
export async function askAbout() {
  const answer = await send('page/about.json', {})
  return read(answer)
}

/** Resolves when the service takes work. @returns {Promise<void>} */
export async function untilReady() {
  for (;;) {
    const answer = await fetch(addressOf('readyz')).catch(() => undefined)
    if (answer?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
}
