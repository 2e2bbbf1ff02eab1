/** The memory of which blobs of a cache were found right, so that each is hashed once. */
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hasContent } from '../download/hashes.js'
import type { RepositoryLayout } from './layout.js'

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
  return hasContent(path, { hash: etag, size }, signal, onBytes)
}
