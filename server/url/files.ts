/** Files from and to addresses, as jobs have them: GET and PUT, such as pre-signed ones, under the rules for pictures. */
import { createReadStream, createWriteStream } from 'node:fs'
import { rename, stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { request } from 'undici'
import { Sam3ServiceError } from 'sam3-node'
import { checkUrl, follow, limited, transfer, type UrlRules } from './fetch-image.js'

/**
 * Fetches what is at an address into a file, which is there whole or not at all.
 * @throws Sam3ServiceError `ERR_URL_REFUSED`, `ERR_TOO_LARGE`, `ERR_URL_FAILED`; Sam3AbortError
 */
export async function fetchFile(address: string, file: string, rules: UrlRules, signal: AbortSignal): Promise<void> {
  await transfer(rules, signal, async (agent, either) => {
    const body = await follow(checkUrl(address, rules.hosts), rules, agent, either, '*/*')
    await pipeline(limited(body, rules.maxBytes), createWriteStream(`${file}.part`), { signal: either })
  })
  await rename(`${file}.part`, file)
}

/**
 * Sends a file to an address by PUT. Redirects are not followed: what signs an address signs no other one.
 * @throws Sam3ServiceError `ERR_URL_REFUSED`, `ERR_URL_FAILED`; Sam3AbortError
 */
export async function sendFile(file: string, address: string, rules: UrlRules, signal: AbortSignal): Promise<void> {
  const { size } = await stat(file)
  await transfer(rules, signal, async (dispatcher, either) => {
    const url = checkUrl(address, rules.hosts)
    const headers = { 'content-length': String(size), 'user-agent': 'sam3-node' }
    const answer = await request(url, {
      dispatcher,
      method: 'PUT',
      headers,
      body: createReadStream(file),
      signal: either,
    })
    await answer.body.dump()
    if (answer.statusCode >= 200 && answer.statusCode < 300) return
    throw new Sam3ServiceError(
      'ERR_URL_FAILED',
      `The result cannot be sent to its address: it answered ${answer.statusCode}.`,
      {
        fix: 'Check that the address takes a PUT, and has not expired.',
      },
    )
  })
}
