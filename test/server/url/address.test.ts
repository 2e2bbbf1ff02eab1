import { describe, expect, it } from 'vitest'
import { isPublicAddress } from '../../../server/url/address.js'
import { HostList } from '../../../server/url/hosts.js'
import { fetchImage } from '../../../server/url/fetch-image.js'
import { rejection } from '../../support/model.js'

describe('isPublicAddress', () => {
  it.each(['8.8.8.8', '1.1.1.1', '172.32.0.1', '2001:4860:4860::8888', '2a00:1450:4001::1', '2606:4700::1111'])(
    '%s is public',
    (address) => expect(isPublicAddress(address)).toBe(true),
  )

  it.each([
    ['this host', '0.0.0.0', '0.1.2.3', '::'],
    ['loopback', '127.0.0.1', '127.255.255.254', '::1'],
    ['private', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fc00::1', 'fdff::1'],
    ['of this link', '169.254.169.254', 'fe80::1', 'fe80::1%eth0', 'fec0::1'],
    ['behind a carrier', '100.64.0.1', '100.127.255.255'],
    ['to many', '224.0.0.1', '239.255.255.255', '255.255.255.255', 'ff02::1'],
    [
      'for documents and measurements',
      '192.0.2.1',
      '198.51.100.1',
      '203.0.113.1',
      '198.18.0.1',
      '2001:db8::1',
      '3fff::1',
    ],
    ['reserved', '192.0.0.1', '240.0.0.1', '4000::1', '5f00::1', '100::1', '2001::1', '2001:10::1'],
    ['no address', '', 'localhost', '8.8.8.8.8', '8.8.8.8/8', ' 8.8.8.8'],
  ])('%s is not', (_kind, ...addresses) => {
    for (const address of addresses) expect([address, isPublicAddress(address)]).toEqual([address, false])
  })

  it.each([
    ['IPv4-mapped', (v4: string) => `::ffff:${v4}`],
    ['NAT64', (v4: string) => `64:ff9b::${v4}`],
    ['6to4', (v4: string) => `2002:${hex(v4)}::1`],
  ])('%s addresses are what they stand for', (_kind, wrap) => {
    expect(isPublicAddress(wrap('8.8.8.8'))).toBe(true)
    for (const inner of ['127.0.0.1', '10.0.0.1', '169.254.169.254', '0.0.0.0', '100.64.0.1'])
      expect([wrap(inner), isPublicAddress(wrap(inner))]).toEqual([wrap(inner), false])
  })

  it.each(['::127.0.0.1', '::808:808', '::ffff:0:8.8.8.8', '64:ff9b:1::8.8.8.8'])(
    '%s, of no public network, is not',
    (address) => expect(isPublicAddress(address)).toBe(false),
  )
})

const hex = (v4: string) => {
  const [a, b, c, d] = v4.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))
  return `${a}${b}:${c}${d}`
}

describe('HostList', () => {
  const allows = (entry: string, url: string) => new HostList([entry]).allows(new URL(url))

  it('allows what is listed, at the port of the scheme or the one that is named', () => {
    expect(allows('example.com', 'https://example.com/a.jpg')).toBe(true)
    expect(allows('example.com', 'http://EXAMPLE.com./a.jpg')).toBe(true)
    expect(allows('Bücher.example', 'https://xn--bcher-kva.example/')).toBe(true)
    expect(allows('example.com:8443', 'https://example.com:8443/')).toBe(true)
    expect(allows('example.com:443', 'https://example.com/')).toBe(true)
    expect(allows('[2001:4860::1]', 'http://[2001:4860:0::1]/')).toBe(true)
    expect(allows('*', 'https://anything.example/')).toBe(true)
  })

  it('allows nothing else', () => {
    expect(new HostList([]).allows(new URL('https://example.com'))).toBe(false)
    expect(allows('example.com', 'https://example.com.evil.example/')).toBe(false)
    expect(allows('example.com', 'https://evilexample.com/')).toBe(false)
    expect(allows('example.com', 'https://sub.example.com/')).toBe(false)
    expect(allows('example.com', 'https://example.com:8443/')).toBe(false)
    expect(allows('example.com:443', 'http://example.com/')).toBe(false)
    expect(allows('*', 'https://anything.example:22/')).toBe(false)
  })

  it('knows what lies below a host', () => {
    expect(allows('*.example.com', 'https://a.b.example.com/')).toBe(true)
    expect(allows('*.example.com', 'https://example.com/')).toBe(false)
    expect(allows('*.example.com', 'https://notexample.com/')).toBe(false)
  })

  it.each([
    '',
    'https://example.com',
    'example.com/path',
    'a b',
    'example.com:99999',
    '*.',
    'user@example.com',
    '*.*',
    7,
  ])('%j is no entry', (entry) => {
    expect(() => new HostList([entry as string])).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }))
  })
})

describe('fetchImage, before it asks anyone', () => {
  const refusal = (address: string, hosts: string[] = ['*']) =>
    rejection(
      fetchImage(
        address,
        { hosts: new HostList(hosts), maxBytes: 1000, timeoutMs: 1000 },
        new AbortController().signal,
      ),
    )

  // One address in the forms that a URL may have it in.
  it.each([
    'http://127.0.0.1/',
    'http://2130706433/',
    'http://0x7f000001/',
    'http://0x7f.1/',
    'http://0177.0.0.01/',
    'http://127.1/',
    'http://127。0。0。1/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:7f00:1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://[2002:7f00:1::]/',
    'http://[::1]/',
    'http://[::]/',
    'http://0/',
    'http://169.254.169.254/latest/meta-data/',
  ])('refuses %s', async (address) => {
    const error = await refusal(address)
    expect(error).toMatchObject({ code: 'ERR_URL_REFUSED', message: expect.stringContaining('public internet') })
  })

  it.each([
    'file:///etc/passwd',
    'ftp://example.com/a.jpg',
    'data:image/png;base64,AAAA',
    'gopher://example.com/',
    'a.jpg',
    '',
  ])('refuses %j', async (address) => expect(await refusal(address)).toMatchObject({ code: 'ERR_URL_REFUSED' }))

  it('refuses names and passwords, and hosts that are not listed', async () => {
    expect(await refusal('https://a:b@example.com/')).toMatchObject({ code: 'ERR_URL_REFUSED' })
    expect(await refusal('https://other.example/', ['example.com'])).toMatchObject({ code: 'ERR_URL_REFUSED' })
  })
})
