/** WOFF 1.0 files: an OpenType font whose tables are compressed one by one with zlib. */
import { promisify } from 'node:util'
import { inflate } from 'node:zlib'

const unpack = promisify(inflate)
const HEADER = 44
const ENTRY = 20
/** No font that people use comes near it; a damaged or hostile file must not fill the memory. */
const MOST = 256 * 2 ** 20

/** Whether a file says that it is a WOFF (1.0; WOFF 2.0 is another format, signed `wOF2`). */
export function isWoff(file: Buffer): boolean {
  return file.toString('latin1', 0, 4) === 'wOFF'
}

/**
 * The OpenType font in a WOFF file.
 * @throws Error (of any kind) when the file is damaged
 */
export async function unpackWoff(file: Buffer): Promise<Buffer> {
  const count = file.readUInt16BE(12)
  const tables = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const entry = HEADER + index * ENTRY
      const [offset, packed, length] = [4, 8, 12].map((at) => file.readUInt32BE(entry + at)) as [number, number, number]
      if (offset + packed > file.length || length > MOST) throw new RangeError('a table ends behind the file')
      const data = file.subarray(offset, offset + packed)
      const table = packed === length ? data : await unpack(data, { maxOutputLength: length })
      return { tag: file.readUInt32BE(entry), checksum: file.readUInt32BE(entry + 16), table }
    }),
  )
  return assemble(file.readUInt32BE(4), tables)
}

function assemble(flavor: number, tables: readonly { tag: number; checksum: number; table: Buffer }[]): Buffer {
  const directory = Buffer.alloc(12 + 16 * tables.length)
  directory.writeUInt32BE(flavor, 0)
  directory.writeUInt16BE(tables.length, 4)
  const parts: Uint8Array[] = [directory]
  let end = directory.length
  for (const [index, { tag, checksum, table }] of tables.entries()) {
    const entry = 12 + 16 * index
    directory.writeUInt32BE(tag, entry)
    directory.writeUInt32BE(checksum, entry + 4)
    directory.writeUInt32BE(end, entry + 8)
    directory.writeUInt32BE(table.length, entry + 12)
    const padding = Buffer.alloc(-table.length & 3)
    parts.push(table, padding)
    end += table.length + padding.length
  }
  return Buffer.concat(parts, end)
}
