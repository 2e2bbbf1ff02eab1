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
 * Posts a form or JSON, and once more with a token where the service wants one.
 * @param {string} path
 * @param {FormData | object} content
 * @param {AbortSignal} signal
 * @returns {Promise<any>} the JSON of the answer
 * @throws {Problem} what the service said, or that it said nothing; the reason of the signal
 */
export async function post(path, content, signal) {
  return read(await sendAs(path, content, signal))
}

/**
 * Posts JSON, and gives the lines of the answer as they come.
 * @param {string} path
 * @param {object} content
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<any, void, void>}
 * @throws {Problem} as {@link post}
 */
export async function* postForLines(path, content, signal) {
  const answer = await sendAs(path, content, signal)
  if (!answer.ok || !answer.body) return read(answer)
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value = '', done } = await reader.read()
    const lines = (rest + value).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield JSON.parse(line)
    if (done) return
  }
}

/**
 * @param {string} path
 * @param {FormData | object} content
 * @param {AbortSignal} signal
 */
async function sendAs(path, content, signal) {
  const isForm = content instanceof FormData
  /** @type {RequestInit} */
  const options = {
    method: 'POST',
    signal,
    body: isForm ? content : JSON.stringify(content),
    ...(!isForm && { headers: { 'content-type': 'application/json' } }),
  }
  let answer = await send(path, options)
  while (answer.status === 401) {
    const given = await askToken(token !== undefined)
    if (given === undefined) break
    token = given
    answer = await send(path, options)
  }
  return answer
}

/** Deletes what a path names. That it fails matters to nobody: in time it goes by itself. @param {string} path */
export async function forget(path) {
  await send(path, { method: 'DELETE', keepalive: true }).catch(() => {})
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function send(path, options) {
  const headers = new Headers(options.headers)
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
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
