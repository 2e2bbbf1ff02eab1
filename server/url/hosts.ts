/** The list of hosts that pictures may be fetched from. */
import { Sam3InputError } from 'sam3-node'
import { shown } from '../../lib/base/shown.js'

interface Entry {
  /** Whether a host name, as a URL has it, is meant. */
  matches: (host: string) => boolean
  /** Of the URL; the default port of its scheme where the entry names none. */
  port: string
}

/** `example.com`, `*.example.com` (what lies below it), `example.com:8443`, `*` (any). */
const ENTRY = /^(\*\.)?((?:\[[\da-f:.]+\]|[^\s/:@?#*[\]]+))(?::(\d{1,5}))?$/i

function parseEntry(text: unknown): Entry {
  if (text === '*') return { matches: () => true, port: '' }
  const [, below, name, port = ''] = (typeof text === 'string' && ENTRY.exec(text)) || []
  // As a URL writes it: lower case, punycode, an address in its usual form.
  const address = `http://${name}`
  if (name === undefined || !URL.canParse(address) || Number(port) > 65_535) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${shown(text)} is no host that pictures may come from.`, {
      fix: "Write 'example.com', '*.example.com' for all below it, 'example.com:8443', or '*' for any.",
    })
  }
  const host = withoutDot(new URL(address).hostname)
  return { matches: below ? (other) => other.endsWith(`.${host}`) : (other) => other === host, port }
}

/** `example.com.` is `example.com`. */
const withoutDot = (host: string): string => host.replace(/\.$/, '')

/** Which hosts are allowed; none unless some are listed. */
export class HostList {
  readonly #entries: readonly Entry[]

  /** @throws Sam3InputError `ERR_INVALID_ARGUMENT` for an entry that names no host */
  constructor(entries: readonly string[]) {
    this.#entries = entries.map(parseEntry)
  }

  /** Whether `url` names a listed host, at the port that is listed with it. */
  allows(url: URL): boolean {
    const host = withoutDot(url.hostname)
    // A URL has no port where it is that of its scheme.
    const isPort = (port: string) => port === url.port || (url.port === '' && port === DEFAULT_PORTS[url.protocol])
    return this.#entries.some(({ matches, port }) => matches(host) && isPort(port))
  }
}

const DEFAULT_PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' }
