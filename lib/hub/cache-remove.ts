/** Takes models out of a cache. */
import { readdir, realpath, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Sam3HubError } from '../errors.js'
import { isLockHeld } from './blob-lock.js'
import { asCacheError, type CacheFolder } from './cache-folder.js'
import { RepositoryLayout } from './layout.js'
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
    await rm(layout.folder, { recursive: true, force: true })
    await rm(layout.locks, { recursive: true, force: true })
    return there
  } catch (error) {
    throw asCacheError(error, folder)
  }
}

async function refuseWhileBusy(layout: RepositoryLayout): Promise<void> {
  for (const name of await readdir(layout.locks).catch(() => [])) {
    if (!name.endsWith('.sam3-node') || !(await isLockHeld(join(layout.locks, name)))) continue
    throw new Sam3HubError(
      'ERR_CACHE_NOT_WRITABLE',
      `${layout.repo} is being downloaded into ${layout.cache} at this moment.`,
      {
        fix: 'Wait for it, or end the process that downloads.',
      },
    )
  }
}

async function blobsOf(layout: RepositoryLayout, commit: string): Promise<Set<string>> {
  const folder = layout.snapshot(commit)
  const paths = await Promise.all((await listNames(folder)).map((name) => realpath(join(folder, name)).catch(() => '')))
  const blobs = await realpath(layout.blobs).catch(() => layout.blobs)
  return new Set(paths.filter((path) => path.startsWith(`${blobs}/`)).map((path) => basename(path)))
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
