/** Hashes what lies in a cache, and compares it with what it is called. */
import { readdir } from 'node:fs/promises'
import { fileSize } from '../base/folders.js'
import { isHash, RepositoryLayout } from './layout.js'
import { type CachedRepository, listCache } from './cache-list.js'
import { isBlobRight, rememberGood } from './verified.js'

/** The verdict on one file of a cache. */
export interface Verdict {
  repo: string
  /** Name of the blob, or of a file of a snapshot. */
  name: string
  size: number
  /** `partial`: a download that was not finished, which is no fault. `broken`: a link that leads nowhere or outside. */
  state: 'right' | 'wrong' | 'broken' | 'partial'
}

/** Reads every blob of a repository, or of all. */
export async function* verifyCache(cache: string, repo?: string): AsyncGenerator<Verdict> {
  for (const repository of await listCache(cache)) {
    if (repo === undefined || repository.repo === repo) yield* verifyRepository(cache, repository)
  }
}

async function* verifyRepository(cache: string, { repo, revisions }: CachedRepository): AsyncGenerator<Verdict> {
  const layout = new RepositoryLayout(cache, repo)
  for (const { commit, broken } of revisions) {
    for (const name of broken) yield { repo, name: `${commit}/${name}`, size: 0, state: 'broken' }
  }
  for (const name of (await readdir(layout.blobs).catch(() => [])).sort()) {
    const path = `${layout.blobs}/${name}`
    const size = await fileSize(path)
    if (size === undefined) yield { repo, name, size: 0, state: 'broken' }
    else if (name.endsWith('.incomplete')) yield { repo, name, size, state: 'partial' }
    else if (isHash(name)) {
      const isRight = await isBlobRight(layout, name)
      if (isRight) await rememberGood(layout, name)
      yield { repo, name, size, state: isRight ? 'right' : 'wrong' }
    }
  }
}
