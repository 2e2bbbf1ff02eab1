/** Takes models out of a cache. */
import { readdir, readlink, realpath, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Sam3HubError } from '../base/errors.js'
import { isLockHeld } from '../download/lock.js'
import { asCacheError, type CacheFolder } from './cache-folder.js'
import { isCommit, isHash, RepositoryLayout } from './layout.js'
import { followPointer, trustedFolders } from './links.js'
import { listNames, readRef } from './snapshot.js'

/**
 * Deletes a repository, or one revision of it with the blobs that no other revision uses. Models that are loaded keep
 * running: their files stay on disk until they are closed.
 * @returns whether there was anything
 * @throws Sam3HubError `ERR_CACHE_NOT_WRITABLE`, also while a process downloads into it
 */
export async function removeFromCache(folder: CacheFolder, repo: string, revision?: string): Promise<boolean> {
  const layout = new RepositoryLayout(folder.path, repo)
  try {
    await refuseWhileBusy(layout)
    if (revision !== undefined) return await removeRevision(layout, revision)
    const there = (await readdir(layout.folder).catch(() => undefined)) !== undefined
    await removeLinked(layout)
    await rm(layout.folder, { recursive: true, force: true })
    await rm(layout.locks, { recursive: true, force: true })
    return there
  } catch (error) {
    throw asCacheError(error, folder)
  }
}

/**
 * Behind a folder that is a link, deletes what belongs to the layout and nothing else: deleting the link alone would
 * leave the bytes where they are, and the folder that it leads to may hold more than the model. Of a single snapshot
 * that is a link only the link goes: what it leads to is somebody's folder with a model.
 */
async function removeLinked(layout: RepositoryLayout): Promise<void> {
  const parts: [folder: string, belongs: (name: string) => boolean][] = [
    [layout.blobs, (name) => isHash(name.split('.')[0]!)],
    [layout.snapshots, isCommit],
    [layout.folder, (name) => ['blobs', 'snapshots', 'refs', '.no_exist', '.sam3-node'].includes(name)],
  ]
  for (const [folder, belongs] of parts) {
    if ((await readlink(folder).catch(() => undefined)) === undefined) continue
    const real = await realpath(folder).catch(() => undefined)
    for (const name of real ? await readdir(real) : []) {
      if (belongs(name)) await rm(join(real!, name), { recursive: true, force: true })
    }
    if (real) await rmdir(real).catch(() => {}) // it holds something else
  }
}

async function refuseWhileBusy(layout: RepositoryLayout): Promise<void> {
  for (const name of await readdir(layout.locks).catch(() => [])) {
    if (!name.endsWith('.sam3-node') || !(await isLockHeld(join(layout.locks, name)))) continue
    throw new Sam3HubError(
      'ERR_CACHE_NOT_WRITABLE',
      `${layout.repo} is being downloaded into ${layout.cache} at this moment.`,
      { fix: 'Wait for it, or end the process that downloads.' },
    )
  }
}

async function blobsOf(layout: RepositoryLayout, commit: string): Promise<Set<string>> {
  const folder = layout.snapshot(commit)
  const trusted = await trustedFolders(layout, commit)
  const names = await listNames(folder)
  const found = await Promise.all(names.map((name) => followPointer(join(folder, name), trusted)))
  return new Set(found.flatMap((one) => (one.kind === 'file' && one.etag !== undefined ? [one.etag] : [])))
}

async function removeRevision(layout: RepositoryLayout, revision: string): Promise<boolean> {
  const commit = await readRef(layout, revision)
  if (commit === undefined) return false
  const others = (await readdir(layout.snapshots).catch(() => [])).filter((name) => name !== commit)
  const kept = await Promise.all(others.map((name) => blobsOf(layout, name).catch(() => new Set<string>())))
  for (const blob of await blobsOf(layout, commit)) {
    if (kept.some((set) => set.has(blob))) continue
    await rm(layout.blob(blob), { force: true })
    await rm(layout.verified(blob), { force: true })
  }
  await rm(layout.snapshot(commit), { recursive: true, force: true })
  for (const ref of await listNames(join(layout.folder, 'refs'))) {
    if ((await readRef(layout, ref)) === commit) await rm(layout.ref(ref), { force: true })
  }
  return true
}
