/**
 * Makes the names of a snapshot lead to blobs, and finds out where existing ones lead.
 *
 * Whoever fills a cache from the hub makes folders and links to single files in them, and never a link to a folder. So
 * the folders of the layout are taken where they are, also behind links that someone made to move them to another disk,
 * while the link of a single file must end in one of these folders: what a hub, or an archive of a model, calls
 * config.json cannot be some other file of this machine.
 */
import { access, copyFile, mkdir, readlink, realpath, rename, rm, stat, symlink } from 'node:fs/promises'
import { constants } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { randomUUID } from 'node:crypto'
import { isHash, isInside, type RepositoryLayout } from './layout.js'

/** Where a name of a snapshot leads. */
export type Destination =
  /** To a file of the cache. `etag`: the name of the blob that it leads to, if it is one. */
  | { kind: 'file'; path: string; etag?: string }
  /** To a file of the cache that this user may not read. */
  | { kind: 'unreadable'; path: string }
  /** Nowhere: there is none, or a broken link. */
  | { kind: 'missing' }
  /** Out of the cache, or to something that is no file. */
  | { kind: 'outside'; path: string }

/** The folders, with links resolved, in which the files of a snapshot may lie. */
export interface TrustedFolders {
  /** Every file in these: the cache, the model's folder and the snapshot. */
  whole: readonly string[]
  /** Those with a hash for a name in this, the model's blobs. */
  blobs: string
  /** Those that are named `<xx>/<hash>` in this, in which Python keeps blobs for several models. */
  shared: string
}

async function resolved(path: string): Promise<string> {
  return realpath(path).catch(() => path)
}

/** Finds the folders of one snapshot. */
export async function trustedFolders(layout: RepositoryLayout, commit: string): Promise<TrustedFolders> {
  const [blobs, shared, ...whole] = await Promise.all(
    [layout.blobs, layout.sharedBlobs, layout.cache, layout.folder, layout.snapshot(commit)].map(resolved),
  )
  return { blobs: blobs!, shared: shared!, whole }
}

/** By its name, a blob is nothing else, even where a folder called blobs leads to a folder of other things. */
function isTrusted(path: string, { whole, blobs, shared }: TrustedFolders): boolean {
  if (whole.some((folder) => isInside(path, folder))) return true
  const [name, folder] = [basename(path), dirname(path)]
  if (!isHash(name)) return false
  return folder === blobs || folder === join(shared, name.slice(0, 2))
}

/** The name of the blob that a link leads to first: a blob can itself be a link, to one that models share. */
async function blobName(pointer: string, path: string, { blobs }: TrustedFolders): Promise<string | undefined> {
  const target = await readlink(pointer).catch(() => undefined)
  if (target === undefined) return undefined
  const first = resolve(await resolved(dirname(pointer)), target)
  for (const one of [first, path]) {
    if (isHash(basename(one)) && (await resolved(dirname(one))) === blobs) return basename(one)
  }
  return undefined
}

/** Finds out where a name of a snapshot leads. */
export async function followPointer(pointer: string, trusted: TrustedFolders): Promise<Destination> {
  let path: string
  let isFile: boolean
  try {
    path = await realpath(pointer)
    isFile = (await stat(path)).isFile()
  } catch {
    return { kind: 'missing' }
  }
  if (!isFile || !isTrusted(path, trusted)) return { kind: 'outside', path }
  try {
    await access(path, constants.R_OK)
  } catch {
    return { kind: 'unreadable', path }
  }
  const etag = await blobName(pointer, path, trusted)
  return etag === undefined ? { kind: 'file', path } : { kind: 'file', path, etag }
}

const NO_LINKS = new Set(['EPERM', 'ENOSYS', 'EOPNOTSUPP', 'ENOTSUP', 'UNKNOWN'])

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? ''
}

/**
 * Makes `pointer` a relative link to `blob`, so that the cache can be moved; a copy where there are no links. Atomic.
 * @param scratch a folder for the moment before it has its name, if it is on the same file system
 */
export async function linkPointer(blob: string, pointer: string, scratch: string): Promise<void> {
  const folder = dirname(pointer)
  for (const path of [folder, scratch]) await mkdir(path, { recursive: true })
  // From where they really are: a folder in between may be a link to elsewhere.
  const [from, to] = await Promise.all([realpath(folder), realpath(dirname(blob))])
  const target = relative(from, join(to, basename(blob)))
  if ((await readlink(pointer).catch(() => undefined)) === target) return
  try {
    await placeLink(target, blob, pointer, scratch)
  } catch (error) {
    if (codeOf(error) !== 'EXDEV') throw error
    await placeLink(target, blob, pointer, folder) // snapshots are on another disk
  }
}

async function placeLink(target: string, blob: string, pointer: string, scratch: string): Promise<void> {
  const temporary = join(scratch, randomUUID())
  try {
    try {
      await symlink(target, temporary)
    } catch (error) {
      if (!NO_LINKS.has(codeOf(error))) throw error
      await copyFile(blob, temporary) // Windows without the right, or a file system that has no links
    }
    await rename(temporary, pointer)
  } finally {
    await rm(temporary, { force: true })
  }
}
