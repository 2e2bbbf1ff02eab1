/** fetchImage() in a network of its own: real names, real connections, and not one of them to the inside. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { repositoryRoot } from '../../support/paths.js'
import { without } from '../../support/without.js'

interface Report {
  outcomes: Record<string, { bytes?: number; text?: string; code?: string; message?: string }>
  insideHits: number
  rebindLookups: number
}

const SET_UP = `set -e
PATH="$PATH:/usr/sbin:/sbin"
mount --bind "$1/resolv.conf" /etc/resolv.conf
ip link set lo up
ip address add 8.8.8.8/32 dev lo
ip address add 2001:4860:4860::8888/128 dev lo
exec "$2" "$1/namespace.mjs"`

// Inside of the repository, where its packages are found.
mkdirSync(path.join(repositoryRoot, 'build'), { recursive: true })
const scratch = mkdtempSync(path.join(repositoryRoot, 'build/test-url-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** @throws Error that says what to do where this machine gives no namespace */
async function runInNamespace(): Promise<Report> {
  await build({
    entryPoints: [path.join(repositoryRoot, 'test/server/url/namespace.ts')],
    outfile: path.join(scratch, 'namespace.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    alias: { 'sam3-node': path.join(repositoryRoot, 'lib/index.ts') },
  })
  writeFileSync(path.join(scratch, 'resolv.conf'), 'nameserver 8.8.8.8\n')
  const asRoot = process.getuid!() === 0 ? [] : ['--map-root-user']
  const args = [...asRoot, '--net', '--mount', 'sh', '-c', SET_UP, 'sh', scratch, process.execPath]
  const { stdout, stderr, error } = spawnSync('unshare', args, { encoding: 'utf8', timeout: 60_000 })
  if (stdout) return JSON.parse(stdout) as Report
  throw new Error(
    `Nothing came out of the network namespace: ${error?.message ?? stderr}\nWhere none can be made (by unshare of ` +
      'util-linux and ip of iproute2), run the tests as root, or without it: npm test -- --without root.',
  )
}

describe.skipIf(without('root'))('fetchImage', () => {
  let report: Report
  beforeAll(async () => {
    report = await runInNamespace()
  })
  const outcome = (name: string) => report.outcomes[name]

  it.each([
    'http://pictures.example/picture',
    'http://six.example/picture',
    'http://8.8.8.8/picture',
    'http://134744072/picture',
    'http://[2001:4860:4860::8888]/picture',
    '-> /picture',
    '-> http://six.example/picture',
    '-> two hops',
  ])('reads %s', (name) => expect(outcome(name)).toMatchObject({ bytes: 100_000 }))

  it('tells the host nothing of the client', () => {
    const headers = JSON.parse(outcome('http://pictures.example/headers')!.text!)
    expect(Object.keys(headers).sort()).toEqual(['accept', 'accept-encoding', 'connection', 'host', 'user-agent'])
    expect(headers.host).toBe('pictures.example')
  })

  it.each(['inside', 'loop', 'metadata', 'mixed', 'mixed-six', 'mapped', 'nat64'])(
    'refuses %s.example, of which an address is not public',
    (name) =>
      expect(outcome(`http://${name}.example/`)).toMatchObject({
        code: 'ERR_URL_REFUSED',
        message: expect.not.stringMatching(/\d+\.\d+\.\d+/),
      }),
  )

  it.each([
    'http://127.0.0.1/',
    'http://2130706433/',
    'http://[::1]/',
    'http://loop.example/',
    'http://mapped.example/',
    'file:///etc/passwd',
    'a host that is not listed',
  ])('refuses to be redirected to %s', (target) =>
    expect(outcome(`-> ${target}`)).toMatchObject({ code: 'ERR_URL_REFUSED' }),
  )

  it('connects to the address that was looked at, whatever the name says a moment later', () => {
    expect(report.rebindLookups).toBe(1)
    expect(outcome('http://rebind.example/picture')).toMatchObject({ bytes: 100_000 })
  })

  it('never reached the inside', () => expect(report.insideHits).toBe(0))

  it.each(['declared', 'endless'])('ends %s, which is too large', (page) =>
    expect(outcome(`http://pictures.example/${page}`)).toMatchObject({ code: 'ERR_TOO_LARGE' }),
  )

  it.each([
    ['silent', '300 ms'],
    ['stalls', '300 ms'],
    ['http://pictures.example/missing', '404'],
    ['http://pictures.example/circle', 'redirects'],
    ['http://pictures.example/nowhere', '302'],
    ['http://pictures.example/breaks', ''],
    ['http://unknown.example/', 'ENOTFOUND'],
  ])('says why %s could not be read', (name, why) =>
    expect(outcome(name)).toMatchObject({ code: 'ERR_URL_FAILED', message: expect.stringContaining(why) }),
  )

  it('fetches files whole or not at all', () => {
    expect(outcome('file: whole')).toEqual({ bytes: 100_000 })
    expect(outcome('file: endless')).toMatchObject({ code: 'ERR_TOO_LARGE' })
    expect(outcome('file: breaks')).toMatchObject({ code: 'ERR_URL_FAILED' })
    expect(outcome('file: inside')).toMatchObject({ code: 'ERR_URL_REFUSED' })
  })

  it('sends files where they may go, and follows no redirect with them', () => {
    expect(outcome('PUT: taken')).toEqual({ text: 'a result' })
    expect(outcome('PUT: http://loop.example/upload')).toMatchObject({ code: 'ERR_URL_REFUSED' })
    expect(outcome('PUT: http://127.0.0.1/upload')).toMatchObject({ code: 'ERR_URL_REFUSED' })
    const redirected = Object.keys(report.outcomes).find((name) => name.startsWith('PUT: http://pictures.example/to'))
    for (const name of [redirected!, 'PUT: refused there'])
      expect(outcome(name)).toMatchObject({ code: 'ERR_URL_FAILED', message: expect.stringContaining('answered') })
  })

  it('stops when the client leaves', () => expect(outcome('left')).toMatchObject({ code: 'ABORT_ERR' }))
})
