/** Fills a cache with single files of the test hub, in the way of Python's huggingface_hub but without its start-up time. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { etagOf, type HubRepository } from './repository.js'

export interface FillOptions {
  /** Branch, tag or commit; only for the first two a ref is written. */
  revision?: string
  /** Files themselves instead of links, as with `HF_HUB_DISABLE_SYMLINKS`. */
  copies?: boolean
}

/** @returns the folder of the snapshot */
export function fillAsPython(
  repoFolder: string,
  repository: HubRepository,
  names: readonly string[],
  { revision = 'main', copies = false }: FillOptions = {},
): string {
  const named = repository.refs.get(revision)
  const commit = named ?? revision
  const snapshot = path.join(repoFolder, 'snapshots', commit)
  for (const folder of [snapshot, `${repoFolder}/blobs`, `${repoFolder}/refs`]) mkdirSync(folder, { recursive: true })
  if (named) writeFileSync(path.join(repoFolder, 'refs', revision), commit)
  for (const name of names) {
    const file = repository.commits.get(commit)!.get(name)!
    const blob = path.join(repoFolder, 'blobs', etagOf(file))
    writeFileSync(copies ? path.join(snapshot, name) : blob, file.content)
    if (!copies) symlinkSync(`../../blobs/${etagOf(file)}`, path.join(snapshot, name))
  }
  return snapshot
}
