/** The part of the Xet protocol that a download needs: a token, where the chunks of a file are, and the chunks. */
import { createHash } from 'node:crypto'

const CHUNK = 60_000

/** A file as Xet stores it: chunks with a header each, uncompressed, in one xorb. */
export function xorbOf(content: Buffer): { bytes: Buffer; ends: number[] } {
  const parts: Buffer[] = []
  const ends: number[] = []
  let end = 0
  for (let start = 0; start < content.length; start += CHUNK) {
    const chunk = content.subarray(start, start + CHUNK)
    // Version 0, length stored (3 bytes), compression 0: none, length unpacked (3 bytes).
    const header = Buffer.alloc(8)
    header.writeUIntLE(chunk.length, 1, 3)
    header.writeUIntLE(chunk.length, 5, 3)
    parts.push(header, chunk)
    end += chunk.length + 8
    ends.push(end)
  }
  return { bytes: Buffer.concat(parts), ends }
}

export const xetHash = (content: Buffer) => createHash('sha256').update('xet').update(content).digest('hex')

/** Which chunks hold the bytes from `from` on, and where they are. */
export function reconstruction(content: Buffer, from: number, url: string): object {
  const { ends } = xorbOf(content)
  const first = Math.floor(from / CHUNK)
  const hash = xetHash(content)
  const chunks = { start: first, end: ends.length }
  const bytes = { start: first === 0 ? 0 : ends[first - 1]!, end: ends.at(-1)! - 1 }
  return {
    offset_into_first_range: from - first * CHUNK,
    terms: [{ hash, unpacked_length: content.length - first * CHUNK, range: chunks }],
    xorbs: { [hash]: [{ url, ranges: [{ chunks, bytes }] }] },
  }
}
