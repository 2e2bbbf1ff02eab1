/** Pictures from addresses that a client names, without becoming a way into the network that the service stands in. */
import { lookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { Agent, type Dispatcher, request } from 'undici'
import { Sam3AbortError, Sam3Error, Sam3ServiceError } from 'sam3-node'
import { shortened } from '../../lib/base/shown.js'
import { isPublicAddress } from './address.js'
import type { HostList } from './hosts.js'

/** What may be fetched. */
export interface UrlRules {
  /** Hosts that may be asked; redirects lead to no others. */
  hosts: HostList
  /** Most bytes of a picture. */
  maxBytes: number
  /** Milliseconds from the first request to the last byte. */
  timeoutMs: number
}

const MAX_REDIRECTS = 5
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308]

/**
 * Fetches the picture at an address: `http:` or `https:`, at a host that is listed, all of whose addresses are public.
 * The connection goes to an address that was looked at, and every redirect is looked at in the same way.
 *
 * @returns its bytes
 * @throws Sam3ServiceError `ERR_URL_REFUSED`, `ERR_TOO_LARGE`, `ERR_URL_FAILED`; Sam3AbortError
 */
export async function fetchImage(address: string, rules: UrlRules, signal: AbortSignal): Promise<Buffer> {
  return transfer(rules, signal, async (agent, either) => {
    const first = checkUrl(address, rules.hosts)
    const chunks: Uint8Array[] = []
    for await (const chunk of limited(await follow(first, rules, agent, either), rules.maxBytes)) chunks.push(chunk)
    return Buffer.concat(chunks)
  })
}

/** Runs the requests of one transfer: they go to public addresses alone, and end in time or when `signal` fires. */
export async function transfer<T>(
  rules: UrlRules,
  signal: AbortSignal,
  work: (agent: Dispatcher, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = AbortSignal.timeout(rules.timeoutMs)
  // For this transfer alone: a connection that is kept would be one to a host whose addresses have changed since.
  const agent = new Agent({ connect: { lookup: lookupPublic } })
  try {
    return await work(agent, AbortSignal.any([signal, timeout]))
  } catch (error) {
    throw explained(error, { signal, timeout, rules })
  } finally {
    await agent.destroy()
  }
}

/** Follows redirects to an answer that has the picture, or whatever else is wanted. */
export async function follow(
  first: URL,
  { hosts, maxBytes }: UrlRules,
  dispatcher: Dispatcher,
  signal: AbortSignal,
  accept = 'image/*',
): Promise<Dispatcher.ResponseData['body']> {
  let url = first
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const headers = { accept, 'accept-encoding': 'identity', 'user-agent': 'sam3-node' }
    const { statusCode, headers: answer, body } = await request(url, { dispatcher, signal, headers })
    if (statusCode === 200) {
      if (Number(answer['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes)
      return body
    }
    body.on('error', () => {}).destroy()
    const { location } = answer
    if (!REDIRECTS.includes(statusCode) || typeof location !== 'string') throw failed(`it answered ${statusCode}`)
    url = checkUrl(location, hosts, url)
  }
  throw failed(`it redirects more than ${MAX_REDIRECTS} times`)
}

/** What can be said of an address before anyone is asked about it. */
export function checkUrl(address: string, hosts: HostList, base?: URL): URL {
  if (!URL.canParse(address, base?.href)) throw refused('is no URL', 'Give one that begins with https:// or http://.')
  const url = new URL(address, base)
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw refused(`is one of ${shortened(url.protocol, 20)}`, 'Give one that begins with https:// or http://.')
  if (url.username || url.password) throw refused('has a user name or a password', 'Give one without.')
  if (!hosts.allows(url))
    throw refused('names a host, or a port, that this service does not fetch from', 'Send the picture itself.')
  // Connecting to an address that stands in the URL asks no resolver. A URL has any of its forms (decimal, octal, hex)
  // written as usual.
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) && !isPublicAddress(host)) throw notPublic()
  return url
}

/** The resolver of connections: it gives the addresses of a host only where all of them are public. */
const lookupPublic: LookupFunction = (host, options, callback) => {
  lookup(host, { ...options, all: true }, (error, found) => {
    if (error) return callback(error, '')
    if (!found.every(({ address }) => isPublicAddress(address))) return callback(notPublic(), '')
    if (options.all) return callback(null, found)
    callback(null, found[0]!.address, found[0]!.family)
  })
}

/** What comes, up to `maxBytes`. */
export async function* limited(body: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > maxBytes) throw tooLarge(maxBytes)
    yield chunk
  }
}

interface Circumstances {
  signal: AbortSignal
  timeout: AbortSignal
  rules: UrlRules
}

/** An error of the network as one of ours. The address is the client's; what it resolves to is nobody's business. */
function explained(error: unknown, { signal, timeout, rules }: Circumstances): Sam3Error {
  if (error instanceof Sam3Error) return error
  if (signal.aborted) return new Sam3AbortError(signal.reason)
  if (timeout.aborted) return failed(`it took longer than ${rules.timeoutMs} ms`, error)
  const { code = 'the connection failed' } = error as { code?: string }
  return failed(code, error)
}

const refused = (what: string, fix: string) =>
  new Sam3ServiceError('ERR_URL_REFUSED', `The address of the picture ${what}.`, { fix })

/** A type of its own for the resolver, whose errors have a number. */
const notPublic = (): Sam3Error & NodeJS.ErrnoException =>
  refused('leads to a host that is not on the public internet', 'Send the picture itself.')

const tooLarge = (maxBytes: number) =>
  new Sam3ServiceError('ERR_TOO_LARGE', `The picture at the address has more than ${maxBytes} bytes.`, {
    fix: 'Scale it down first.',
  })

const failed = (why: string, cause?: unknown) =>
  new Sam3ServiceError('ERR_URL_FAILED', `The picture cannot be fetched from its address: ${why}.`, {
    fix: 'Try the address from elsewhere, or send the picture itself.',
    cause,
  })
