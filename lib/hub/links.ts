/** Makes the names of a snapshot lead to blobs, and finds out where existing ones lead. */
import { copyFile, mkdir, readlink, realpath, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { randomUUID } from 'node:crypto'
import { isInside } from './layout.js'

/** Where a name of a snapshot leads: to a file of the cache, nowhere (missing, or a broken link), or out of the cache. */
export type Destination = { kind: 'file'; path: string } | { kind: 'missing' } | { kind: 'outside'; path: string }

/** @param cache the root of the cache, absolute */
export async function followPointer(pointer: string, cache: string): Promise<Destination> {
  try {
    const path = await realpath(pointer)
    // Inside the whole cache, not only the repository: Python may keep one blob for several repositories.
    return isInside(path, await realpath(cache)) ? { kind: 'file', path } : { kind: 'outside', path }
  } catch {
    return { kind: 'missing' }
  }
}

/**
 * Makes `pointer` a relative link to `blob`, so that the cache can be moved; a copy where there are no links. Atomic.
 * @param scratch a folder on the same file system, for the moment before it has its name
 */
export async function linkPointer(blob: string, pointer: string, scratch: string): Promise<void> {
  const target = relative(dirname(pointer), blob)
  if ((await readlink(pointer).catch(() => undefined)) === target) return
  for (const folder of [dirname(pointer), scratch]) await mkdir(folder, { recursive: true })
  const temporary = join(scratch, randomUUID())
  try {
    try {
      await symlink(target, temporary)
    } catch (error) {
      if (
        !['EPERM', 'ENOSYS', 'EOPNOTSUPP', 'ENOTSUP', 'UNKNOWN'].includes((error as NodeJS.ErrnoException).code ?? '')
      )
        throw error
      await copyFile(blob, temporary) // Windows without the right, or a file system that has no links
    }
    await rename(temporary, pointer)
  } finally {
    await rm(temporary, { force: true })
  }
}
