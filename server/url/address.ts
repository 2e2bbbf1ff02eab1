/** Which addresses of a network anyone may be sent to. */
import ipaddr from 'ipaddr.js'

/** What IPv6 has given out for the public internet; all else of it is reserved, or has a meaning of its own. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3')
/** Given out for documentation since RFC 9637. */
const DOCUMENTATION = ipaddr.IPv6.parseCIDR('3fff::/20')
/** The well-known prefix of NAT64; that for local use (64:ff9b:1::/48) is as private as its network. */
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96')

/**
 * Whether an address belongs to the public internet. An IPv6 address that stands for an IPv4 address (IPv4-mapped,
 * NAT64, 6to4) is what it stands for; what is no address, is not.
 */
export function isPublicAddress(text: string): boolean {
  if (!ipaddr.isValid(text)) return false
  const address = ipaddr.parse(text)
  if (address instanceof ipaddr.IPv4) return address.range() === 'unicast'
  const inner = embeddedIPv4(address)
  if (inner) return inner.range() === 'unicast'
  return address.range() === 'unicast' && address.match(GLOBAL_UNICAST) && !address.match(DOCUMENTATION)
}

function embeddedIPv4(address: ipaddr.IPv6): ipaddr.IPv4 | undefined {
  const bytes = address.toByteArray()
  if (address.isIPv4MappedAddress() || address.match(NAT64)) return new ipaddr.IPv4(bytes.slice(12))
  if (address.range() === '6to4') return new ipaddr.IPv4(bytes.slice(2, 6))
  return undefined
}
