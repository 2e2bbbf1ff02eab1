/**
 * Where no token tells who asks, a browser lends every page its user's place in the network. Pages of other sites are
 * refused: by what the browser says of them, and by the name that they know the service by.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Sam3ServiceError } from 'sam3-node'
import ipaddr from 'ipaddr.js'
import type { ServeConfig } from '../config/schema.js'

/** Methods that change nothing: a link from another site leads here. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Refuses what pages of other sites send, but for open routes. */
export function guardOrigin(app: FastifyInstance, { host, allowedHosts }: ServeConfig): void {
  const named = allowedHosts?.map((name) => name.toLowerCase())
  const isLocal = isLoopback(host)
  app.addHook('onRequest', async (request) => {
    if (request.routeOptions.config.open) return
    const name = hostName(request)
    // A name of somebody else's may be made to lead here (DNS rebinding): to the browser, their page is then of this site.
    const isOurs = isLoopback(name) || name === host || named?.includes(name)
    if ((named || isLocal) && !isOurs) throw strange()
    if (!SAFE.has(request.method) && isForeign(request)) throw foreign()
  })
}

/** Browsers say it in Sec-Fetch-Site, older ones in Origin; programs that are no browsers say nothing. */
function isForeign({ headers, host }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site !== 'same-origin' && site !== 'none'
  const { origin } = headers
  return origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host.toLowerCase())
}

/**
 * `Host` without its port, IPv6 without brackets; empty where it is none. Not `X-Forwarded-Host`, even behind a proxy: who
 * comes past the proxy can write what they like there.
 */
function hostName({ headers }: FastifyRequest): string {
  const address = `http://${headers.host}`
  return URL.canParse(address) ? new URL(address).hostname.replace(/^\[(.*)\]$/, '$1') : ''
}

function isLoopback(name: string): boolean {
  if (name === 'localhost' || name.endsWith('.localhost')) return true
  return ipaddr.isValid(name) && ipaddr.process(name).range() === 'loopback'
}

const foreign = () =>
  new Sam3ServiceError('ERR_FORBIDDEN', 'The request comes from a page of another site.', {
    fix: 'Ask from a program, or from a page of the same origin; or set tokens, which say who asks.',
  })

const strange = () =>
  new Sam3ServiceError('ERR_FORBIDDEN', 'The service is not known by the name that the request gives in Host.', {
    fix: 'Ask http://127.0.0.1, list the name in allowed-hosts, or set tokens.',
  })
