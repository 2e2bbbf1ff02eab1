/**
 * Runs in a network namespace of its own, in which 8.8.8.8 and 2001:4860:4860::8888 are this machine: servers there and
 * on the loopback, a resolver, and what fetchImage() makes of them. Prints one line of JSON.
 */
import { createSocket } from 'node:dgram'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ipaddr from 'ipaddr.js'
import { HostList } from '../../../server/url/hosts.js'
import { fetchImage, type UrlRules } from '../../../server/url/fetch-image.js'
import { fetchFile, sendFile } from '../../../server/url/files.js'

const PUBLIC = ['8.8.8.8', '2001:4860:4860::8888']

/** What the resolver says, by name; a function is told how often it was asked for an address of that kind. */
const ZONE: Record<string, string[] | ((time: number) => string[])> = {
  'pictures.example': ['8.8.8.8'],
  'six.example': ['2001:4860:4860::8888'],
  'inside.example': ['10.0.0.1'],
  'loop.example': ['127.0.0.1'],
  'metadata.example': ['169.254.169.254'],
  'mixed.example': ['8.8.8.8', '127.0.0.1'],
  'mixed-six.example': ['8.8.8.8', '::1'],
  'mapped.example': ['::ffff:127.0.0.1'],
  'nat64.example': ['64:ff9b::7f00:1'],
  'rebind.example': (time) => (time === 1 ? ['8.8.8.8'] : ['127.0.0.1']),
}
const TYPES = { 1: 'ipv4', 28: 'ipv6' } as const

/** A resolver of 30 lines: it answers questions for A and AAAA from the zone. */
async function resolver(): Promise<{ asked: Map<string, number>; close: () => void }> {
  const asked = new Map<string, number>()
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => {
    const labels: string[] = []
    let at = 12
    for (let length = query[at]!; length > 0; length = query[at]!) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length))
      at += length + 1
    }
    const question = query.subarray(12, at + 5)
    const kind = TYPES[query.readUInt16BE(at + 1) as keyof typeof TYPES]
    const name = labels.join('.').toLowerCase()
    const entry = ZONE[name]
    const key = `${name} ${kind}`
    asked.set(key, (asked.get(key) ?? 0) + 1)
    const all = typeof entry === 'function' ? entry(asked.get(key)!) : (entry ?? [])
    const answers = all
      .map((text) => ipaddr.parse(text))
      .filter((address) => address.kind() === kind)
      .map((address) => {
        const data = Buffer.from(address.toByteArray())
        const head = Buffer.from([0xc0, 12, 0, kind === 'ipv4' ? 1 : 28, 0, 1, 0, 0, 0, 0, 0, data.length])
        return Buffer.concat([head, data])
      })
    const header = Buffer.alloc(12)
    query.copy(header, 0, 0, 2)
    header.writeUInt16BE(entry ? 0x8180 : 0x8183, 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(answers.length, 6)
    socket.send(Buffer.concat([header, question, ...answers]), from.port, from.address)
  })
  await new Promise<void>((resolve) => socket.bind(53, '8.8.8.8', resolve))
  return { asked, close: () => socket.close() }
}

let onRequest = (_path: string) => {}
let openAnswers = 0
/** What was put at /upload. */
let received = ''

const site: RequestListener = (request, answer) => {
  const { pathname, searchParams } = new URL(request.url!, 'http://site')
  onRequest(pathname)
  openAnswers++
  answer.on('close', () => openAnswers--)
  const endless = () => {
    if (!answer.destroyed) answer.write(Buffer.alloc(10_000), () => setImmediate(endless))
  }
  const pages: Record<string, () => void> = {
    '/picture': () => answer.end(Buffer.alloc(100_000, 7)),
    '/headers': () => answer.end(JSON.stringify(request.headers)),
    '/to': () => answer.writeHead(302, { location: searchParams.get('url')! }).end(),
    '/circle': () => answer.writeHead(307, { location: '/circle' }).end(),
    '/nowhere': () => answer.writeHead(302).end(),
    '/declared': () => answer.writeHead(200, { 'content-length': '5000000' }).write('a'),
    '/endless': endless,
    '/silent': () => {},
    '/stalls': () => answer.writeHead(200, { 'content-length': '100' }).write('a'),
    '/upload': () => {
      request.setEncoding('latin1').on('data', (text: string) => {
        received += text
      })
      request.on('end', () => answer.writeHead(request.method === 'PUT' ? 201 : 405).end())
    },
    '/breaks': () => answer.writeHead(200, { 'content-length': '100' }).write('a', () => answer.destroy()),
  }
  const page = pages[pathname]
  if (page) page()
  else answer.writeHead(404).end('there is nothing here')
}

function listen(host: string, handler: RequestListener): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer(handler).listen(80, host, () => resolve(server))
  })
}

const rules: UrlRules = { hosts: new HostList(['*']), maxBytes: 1_000_000, timeoutMs: 20_000 }

interface Outcome {
  bytes?: number
  text?: string
  code?: string
  message?: string
}

async function outcome(
  url: string,
  more: Partial<UrlRules> = {},
  signal = new AbortController().signal,
): Promise<Outcome> {
  try {
    const read = await fetchImage(url, { ...rules, ...more }, signal)
    return { bytes: read.length, text: read.toString('latin1', 0, 500) }
  } catch (error) {
    const { code, message } = error as Error & { code?: string }
    return { code, message }
  }
}

const to = (url: string) => `http://pictures.example/to?url=${encodeURIComponent(url)}`

async function main(): Promise<void> {
  const dns = await resolver()
  let insideHits = 0
  const inside: RequestListener = (_request, answer) => {
    insideHits++
    answer.end('a secret')
  }
  const servers = await Promise.all([
    ...PUBLIC.map((host) => listen(host, site)),
    ...['127.0.0.1', '::1'].map((host) => listen(host, inside)),
  ])
  const outcomes: Record<string, Outcome> = {}
  for (const url of [
    'http://pictures.example/picture',
    'http://six.example/picture',
    'http://8.8.8.8/picture',
    'http://134744072/picture',
    'http://[2001:4860:4860::8888]/picture',
    'http://rebind.example/picture',
    'http://pictures.example/headers',
    'http://pictures.example/missing',
    'http://pictures.example/circle',
    'http://pictures.example/nowhere',
    'http://pictures.example/declared',
    'http://pictures.example/endless',
    'http://pictures.example/breaks',
    'http://unknown.example/',
    ...['inside', 'loop', 'metadata', 'mixed', 'mixed-six', 'mapped', 'nat64'].map((name) => `http://${name}.example/`),
  ])
    outcomes[url] = await outcome(url)
  for (const target of [
    '/picture',
    'http://six.example/picture',
    'http://127.0.0.1/',
    'http://2130706433/',
    'http://[::1]/',
    'http://loop.example/',
    'http://mapped.example/',
    'file:///etc/passwd',
  ])
    outcomes[`-> ${target}`] = await outcome(to(target))
  const listed = { hosts: new HostList(['pictures.example']) }
  outcomes['-> a host that is not listed'] = await outcome(to('http://six.example/picture'), listed)
  outcomes['-> two hops'] = await outcome(to(to('/picture')), listed)
  for (const page of ['silent', 'stalls'])
    outcomes[page] = await outcome(`http://pictures.example/${page}`, { timeoutMs: 300 })
  const client = new AbortController()
  onRequest = (path) => path === '/silent' && client.abort(new Error('the client left'))
  outcomes.left = await outcome('http://pictures.example/silent', {}, client.signal)
  const folder = mkdtempSync(join(tmpdir(), 'sam3-transfer-'))
  const file = join(folder, 'file')
  const never = new AbortController().signal
  const fetched = async (url: string): Promise<Outcome> => {
    const failure = await fetchFile(url, file, rules, never).catch((error: Outcome) => error)
    return failure ? { code: failure.code } : { bytes: readFileSync(file).length }
  }
  const sent = async (url: string): Promise<Outcome> => {
    writeFileSync(file, 'a result')
    const failure = await sendFile(file, url, rules, never).catch((error: Outcome) => error)
    return failure ? { code: failure.code, message: failure.message } : { text: received }
  }
  outcomes['file: whole'] = await fetched('http://pictures.example/picture')
  for (const page of ['endless', 'breaks']) outcomes[`file: ${page}`] = await fetched(`http://pictures.example/${page}`)
  outcomes['file: inside'] = await fetched(to('http://loop.example/'))
  outcomes['PUT: taken'] = await sent('http://pictures.example/upload')
  for (const url of ['http://loop.example/upload', 'http://127.0.0.1/upload', to('http://pictures.example/upload')])
    outcomes[`PUT: ${url}`] = await sent(url)
  outcomes['PUT: refused there'] = await sent('http://pictures.example/missing')
  rmSync(folder, { recursive: true, force: true })
  // Every connection ends with its picture, whatever became of it.
  while (openAnswers > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  for (const server of servers) server.close()
  dns.close()
  console.log(JSON.stringify({ outcomes, insideHits, rebindLookups: dns.asked.get('rebind.example ipv4') }))
}

await main()
