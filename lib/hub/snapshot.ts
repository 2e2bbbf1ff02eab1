/** Finds complete snapshots in a cache, without the network. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Sam3HubError } from '../errors.js'
import { isCommit, isSafePath, RepositoryLayout } from './layout.js'
import { followPointer } from './links.js'
import { SHARD_INDEX, selectFiles, type WeightsKind } from './needed-files.js'

/** What a cache has of a revision. */
export interface CachedSnapshot {
  /** Undefined when the revision was never downloaded. */
  commit: string | undefined
  folder: string | undefined
  /** Names of the needed files that are there, and where their content is. */
  files: Map<string, string>
  /** Needed files that are not. Empty: the snapshot can be used. */
  missing: string[]
}

/** Names of all files below a folder, with forward slashes. */
export async function listNames(folder: string, prefix = ''): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const names = await Promise.all(
    entries.map((entry) =>
      entry.isDirectory() ? listNames(join(folder, entry.name), `${prefix}${entry.name}/`) : [`${prefix}${entry.name}`],
    ),
  )
  return names.flat()
}

/** The shards that an index names. Names that lead out of the folder are left in: they will be missing. */
async function shardsOf(index: string): Promise<string[]> {
  try {
    const { weight_map: map = {} } = JSON.parse(await readFile(index, 'utf8')) as {
      weight_map?: Record<string, string>
    }
    return [...new Set(Object.values(map))].filter((name) => typeof name === 'string')
  } catch {
    return []
  }
}

/** The commit that a branch or tag stood for when it was last downloaded. */
export async function readRef(layout: RepositoryLayout, revision: string): Promise<string | undefined> {
  if (isCommit(revision)) return revision
  const commit = (await readFile(layout.ref(revision), 'utf8').catch(() => '')).trim()
  return isCommit(commit) ? commit : undefined
}

/**
 * What `cache` has of a revision of a repository.
 * @param kind the weights that must be there; by default, any kind will do
 * @throws Sam3HubError `ERR_UNSAFE_PATH` when a link leads out of the cache
 */
export async function findSnapshot(
  cache: string,
  repo: string,
  revision: string,
  kind?: WeightsKind,
): Promise<CachedSnapshot> {
  const layout = new RepositoryLayout(cache, repo)
  const commit = await readRef(layout, revision)
  const folder = commit === undefined ? undefined : layout.snapshot(commit)
  const found: CachedSnapshot = { commit, folder, files: new Map(), missing: [] }
  const names: string[] = []
  for (const name of folder ? await listNames(folder) : []) {
    const destination = await followPointer(join(folder!, name), cache)
    if (destination.kind === 'missing') continue
    if (destination.kind === 'outside') {
      throw new Sam3HubError(
        'ERR_UNSAFE_PATH',
        `${join(folder!, name)} is a link out of the cache, to ${destination.path}.`,
        {
          fix: `Nothing was read from it. Delete the link, or the whole model: sam3-node cache rm ${repo}.`,
        },
      )
    }
    names.push(name)
    found.files.set(name, destination.path)
  }
  const selections = (kind ? [kind] : (['safetensors', 'meta'] as const)).map((one) => selectFiles(names, one))
  const { files, missing } = selections.find((selection) => selection.missing.length === 0) ?? selections[0]!
  found.missing.push(...missing)
  if (files.includes(SHARD_INDEX)) {
    const shards = await shardsOf(found.files.get(SHARD_INDEX)!)
    if (shards.length === 0) found.missing.push(`${SHARD_INDEX} (unreadable)`)
    found.missing.push(...shards.filter((name) => !isSafePath(name) || !found.files.has(name)))
  }
  for (const name of names) if (!files.includes(name)) found.files.delete(name)
  return found
}
