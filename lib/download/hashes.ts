/** The hashes by which contents are promised. */
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { PromisedFile } from './types.js'

const READ_SIZE = 1 << 20

/** A hash that gives the `hash` of a promised content: SHA-256 for 64 digits, the git blob id for 40. */
export function contentHash({ hash, size }: Pick<PromisedFile, 'hash' | 'size'>): Hash {
  if (hash.length === 64) return createHash('sha256')
  return createHash('sha1').update(`blob ${size}\0`)
}

/** Feeds the first `bytes` of a file to `hash`. */
export async function hashFile(
  path: string,
  bytes: number,
  hash: Hash,
  signal?: AbortSignal,
  onBytes?: (done: number) => void,
): Promise<void> {
  if (bytes === 0) return
  const stream = createReadStream(path, { end: bytes - 1, highWaterMark: READ_SIZE, signal })
  let done = 0
  for await (const chunk of stream) {
    hash.update(chunk as Buffer)
    done += (chunk as Buffer).length
    onBytes?.(done)
  }
}

/** Whether the file at `path`, which has the size of the promised one, has its content too. */
export async function hasContent(
  path: string,
  promised: Pick<PromisedFile, 'hash' | 'size'>,
  signal?: AbortSignal,
  onBytes?: (done: number) => void,
): Promise<boolean> {
  const hash = contentHash(promised)
  await hashFile(path, promised.size, hash, signal, onBytes)
  return hash.digest('hex') === promised.hash
}
