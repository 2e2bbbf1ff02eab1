/** Finds complete snapshots in a cache, without the network. */
import { access, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Sam3HubError } from '../base/errors.js'
import { isCommit, isSafePath, RepositoryLayout } from './layout.js'
import { type Destination, followPointer, trustedFolders } from './links.js'
import { SHARD_INDEX, selectFiles, WEIGHTS_KINDS, type WeightsKind, weightNames } from './needed-files.js'

/** What a cache has of a revision. */
export interface CachedSnapshot {
  /** Undefined when the revision was never downloaded. */
  commit: string | undefined
  folder: string | undefined
  /** Names of the needed files that are there, and where their content is. */
  files: Map<string, CachedFile>
  /** Needed files that are not. Empty: the snapshot can be used. */
  missing: string[]
  /** Files that the repository may have, and in whose place the package has something. */
  wanted: string[]
  /** Kind of the weights that are there. */
  kind?: WeightsKind
}

/** A file of a snapshot. */
export type CachedFile = Extract<Destination, { kind: 'file' }>

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

/** Where every name of a snapshot leads, but for those that lead nowhere. */
async function followAll(layout: RepositoryLayout, commit: string): Promise<Map<string, Destination>> {
  const folder = layout.snapshot(commit)
  const trusted = await trustedFolders(layout, commit)
  const found = new Map<string, Destination>()
  for (const name of await listNames(folder)) {
    const destination = await followPointer(join(folder, name), trusted)
    if (destination.kind === 'outside') throw leadsOut(join(folder, name), destination.path, layout)
    if (destination.kind !== 'missing') found.set(name, destination)
  }
  return found
}

function leadsOut(name: string, to: string, { repo, folder }: RepositoryLayout): Sam3HubError {
  return new Sam3HubError('ERR_UNSAFE_PATH', `${name} leads out of the cache, to ${to}, which is refused.`, {
    fix: `Nothing was read from it. If you moved the model, move the whole folder ${folder} and put a link in its place; or pass the path of a folder as model, which may hold any links. If you did not, delete it: sam3-node cache rm ${repo}.`,
  })
}

/** What a snapshot has of a model with weights of one kind. */
async function judge(
  found: ReadonlyMap<string, Destination>,
  kind: WeightsKind,
): Promise<{ files: string[]; missing: string[]; wanted: string[]; kind: WeightsKind }> {
  const { files, missing, wanted } = selectFiles([...found.keys()], kind)
  const index = files.includes(SHARD_INDEX) ? found.get(SHARD_INDEX) : undefined
  if (index?.kind === 'file') {
    const shards = await shardsOf(index.path)
    if (shards.length === 0) missing.push(`${SHARD_INDEX} (unreadable)`)
    missing.push(...shards.filter((name) => !isSafePath(name) || !found.has(name)))
  }
  for (const name of files) {
    if (found.get(name)?.kind === 'unreadable') missing.push(`${name} (this user may not read it)`)
  }
  return { files, missing, wanted, kind }
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
  const found = commit === undefined ? new Map<string, Destination>() : await followAll(layout, commit)
  const kinds = kind ? [kind] : WEIGHTS_KINDS
  const verdicts = await Promise.all(kinds.map((one) => judge(found, one)))
  const has = (names: readonly string[]) => names.some((name) => found.has(name))
  const best =
    verdicts.find(({ missing }) => missing.length === 0) ?? verdicts.find((one) => has(weightNames([one.kind])))
  const { files, missing, wanted } = best ?? verdicts[0]!
  const kept = files.flatMap((name): [string, CachedFile][] => {
    const destination = found.get(name)
    return destination?.kind === 'file' ? [[name, destination]] : []
  })
  return {
    commit,
    folder: commit === undefined ? undefined : layout.snapshot(commit),
    files: new Map(kept),
    missing: best ? missing : [...missing.slice(0, -1), weightNames(kinds).join(' or ')],
    wanted: await existing(layout, commit, wanted),
    kind: best?.kind,
  }
}

/** Without the names of which the cache remembers that the commit has no such file. */
async function existing(layout: RepositoryLayout, commit: string | undefined, names: string[]): Promise<string[]> {
  if (commit === undefined) return names
  const absent = await Promise.all(
    names.map((name) =>
      access(layout.noExist(commit, name)).then(
        () => true,
        () => false,
      ),
    ),
  )
  return names.filter((_, index) => !absent[index])
}

/** Commits of which `cache` has a complete snapshot, whatever its branches and tags stand for. */
export async function completeCommits(cache: string, repo: string): Promise<string[]> {
  const commits = (await readdir(new RepositoryLayout(cache, repo).snapshots).catch(() => [])).filter(isCommit).sort()
  const snapshots = await Promise.all(commits.map((commit) => findSnapshot(cache, repo, commit).catch(() => undefined)))
  return commits.filter((_, index) => snapshots[index]?.missing.length === 0)
}
