/** What lies in a cache folder. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileSize } from '../base/folders.js'
import { isCommit, RepositoryLayout } from './layout.js'
import { followPointer, trustedFolders } from './links.js'
import { listNames, readRef } from './snapshot.js'

/** One commit of a repository. */
export interface CachedRevision {
  commit: string
  /** Branches and tags that stand for it. */
  refs: string[]
  /** Bytes of its files; revisions may share them. */
  size: number
  files: number
  /** Names whose link leads nowhere or out of the cache. */
  broken: string[]
  /** When a file of it was last read, as far as the file system keeps that. */
  lastUsed: Date
}

/** One repository. */
export interface CachedRepository {
  repo: string
  folder: string
  revisions: CachedRevision[]
  /** Bytes on disk. */
  size: number
  /** Bytes of downloads that were not finished. */
  partial: number
}

/** Repositories of a cache, by name. An absent folder is an empty cache. */
export async function listCache(cache: string): Promise<CachedRepository[]> {
  const names = await readdir(cache).catch(() => [])
  const repos = names
    .filter((name) => name.startsWith('models--'))
    .map((name) => name.slice('models--'.length).replace('--', '/'))
  return Promise.all(repos.sort().map((repo) => describeRepository(new RepositoryLayout(cache, repo))))
}

async function describeRepository(layout: RepositoryLayout): Promise<CachedRepository> {
  const commits = (await readdir(layout.snapshots).catch(() => [])).filter(isCommit).sort()
  const described = await Promise.all(commits.map((commit) => describeRevision(layout, commit)))
  const revisions = described.map(({ revision }) => revision)
  for (const ref of await listNames(join(layout.folder, 'refs'))) {
    const commit = await readRef(layout, ref).catch(() => undefined)
    revisions.find((revision) => revision.commit === commit)?.refs.push(ref)
  }
  let size = described.reduce((sum, { copied }) => sum + copied, 0)
  let partial = 0
  for (const name of await readdir(layout.blobs).catch(() => [])) {
    // Of what a link stands for: models may share a blob.
    const bytes = (await fileSize(join(layout.blobs, name))) ?? 0
    size += bytes
    if (name.endsWith('.incomplete')) partial += bytes
  }
  return { repo: layout.repo, folder: layout.folder, revisions, size, partial }
}

/** `copied`: bytes of files that lie in the snapshot itself, as on a file system without links. */
async function describeRevision(
  layout: RepositoryLayout,
  commit: string,
): Promise<{ revision: CachedRevision; copied: number }> {
  const folder = layout.snapshot(commit)
  const revision: CachedRevision = { commit, refs: [], size: 0, files: 0, broken: [], lastUsed: new Date(0) }
  let copied = 0
  const trusted = await trustedFolders(layout, commit)
  for (const name of await listNames(folder)) {
    const destination = await followPointer(join(folder, name), trusted)
    if (destination.kind === 'missing' || destination.kind === 'outside') {
      revision.broken.push(name)
      continue
    }
    const { size, atime } = await stat(destination.path)
    revision.files++
    revision.size += size
    if (destination.kind === 'file' && destination.etag === undefined) copied += size
    if (atime > revision.lastUsed) revision.lastUsed = atime
  }
  return { revision, copied }
}
