/** The hashes by which the hub names files, and the memory of what has been checked. */
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { RepositoryLayout } from '../hub/layout.js'

const READ_SIZE = 1 << 20

/** A hash that gives the `etag` of a content of `size` bytes: SHA-256 for 64 digits, the git blob id for 40. */
export function etagHash(etag: string, size: number): Hash {
  if (etag.length === 64) return createHash('sha256')
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

/** What changes whenever a file's content may have changed. */
async function fingerprint(path: string): Promise<string> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
  return `${ino} ${size} ${mtimeNs} ${ctimeNs}`
}

/** Whether the blob was found right before, and has not been touched since. */
export async function isKnownGood(layout: RepositoryLayout, etag: string): Promise<boolean> {
  try {
    return (await readFile(layout.verified(etag), 'utf8')) === (await fingerprint(layout.blob(etag)))
  } catch {
    return false
  }
}

/** Remembers that a blob is right. A cache that cannot be written to simply has no memory. */
export async function rememberGood(layout: RepositoryLayout, etag: string): Promise<void> {
  const path = layout.verified(etag)
  const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`
  try {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(temporary, await fingerprint(layout.blob(etag)))
    await rename(temporary, path)
  } catch {
    await rm(temporary, { force: true }).catch(() => {}) // read-only: nothing was written
  }
}

/** Hashes a blob that lies in the cache. */
export async function isBlobRight(
  layout: RepositoryLayout,
  etag: string,
  signal?: AbortSignal,
  onBytes?: (done: number) => void,
): Promise<boolean> {
  const path = layout.blob(etag)
  const { size } = await stat(path)
  const hash = etagHash(etag, size)
  await hashFile(path, size, hash, signal, onBytes)
  return hash.digest('hex') === etag
}
