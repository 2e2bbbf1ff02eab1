/** From the name of a repository to a folder with its files: found where it is, else downloaded. */
import { access, constants } from 'node:fs/promises'
import { Sam3HubError, Sam3ModelError } from '../base/errors.js'
import { type CacheFolder, findCacheFolder, huggingFaceCache, packageCache } from './cache-folder.js'
import { hubEndpoint, isOffline } from './environment.js'
import type { Environment } from '../base/expand.js'
import type { Patience } from '../download/connection.js'
import { makeClient } from './client.js'
import { checkRevision, RepositoryLayout } from './layout.js'
import { isBlobRight, isKnownGood, rememberGood } from './verified.js'
import { type PullJob, pullSnapshot } from './pull.js'
import { type CachedSnapshot, completeCommits, findSnapshot } from './snapshot.js'
import { findToken } from './token.js'
import type { HubOptions } from './types.js'

const DEFAULT_REVISION = 'main'

/** The cache folders in which a complete snapshot is used in place, the one for downloads first. */
export function searchFolders(folder: CacheFolder, env: Environment): string[] {
  return [...new Set([folder.path, huggingFaceCache(env), packageCache()])]
}

/**
 * Files with a hash for a name that are not what they are called. Each is hashed once; a cache that cannot be written to
 * has no memory for that, and is not hashed on every start: `sam3-node cache verify` does it when asked.
 */
async function findPoisoned(
  layout: RepositoryLayout,
  snapshot: CachedSnapshot,
  canRemember: boolean,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const poisoned: string[] = []
  for (const [name, { etag }] of snapshot.files) {
    if (etag === undefined || !canRemember || (await isKnownGood(layout, etag))) continue
    if (await isBlobRight(layout, etag, signal)) await rememberGood(layout, etag)
    else poisoned.push(name)
  }
  return poisoned
}

/**
 * The folder of a complete snapshot of `repo`. Makes no request when there is one already.
 * @throws Sam3HubError, Sam3ModelError `ERR_MODEL_NOT_FOUND`, Sam3InputError, Sam3AbortError
 */
export async function resolveRepository(
  repo: string,
  options: HubOptions = {},
  env: Environment = process.env,
  patience: Patience = {},
): Promise<string> {
  const revision = checkRevision(options.revision ?? DEFAULT_REVISION)
  const folder = findCacheFolder(options.cacheDir, env)
  const isAllowed = !(options.offline ?? isOffline(env))
  const makeJob = (more: Patience) => {
    const token = findToken(options.accessToken, env)
    const client = makeClient({ endpoint: hubEndpoint(env), token, signal: options.signal, ...patience, ...more })
    return { repo, folder, client, onProgress: options.onProgress }
  }
  let own: CachedSnapshot | undefined
  for (const path of searchFolders(folder, env)) {
    const isOwn = path === folder.path
    try {
      const snapshot = await findSnapshot(path, repo, revision)
      if (isOwn) own = snapshot
      if (snapshot.missing.length > 0) continue
      if (!(await isUsable(new RepositoryLayout(path, repo), snapshot, isOwn, options.signal))) continue
      if (isOwn && isAllowed && snapshot.wanted.length > 0) await bringWanted(snapshot, () => makeJob(BRIEF))
      return snapshot.folder!
    } catch (error) {
      if (isOwn) throw error // what is wrong with another program's cache does not concern us
    }
  }
  if (!isAllowed) throw await offline(repo, revision, folder, env, own, options.offline === true)
  return (await pullSnapshot({ ...makeJob({}), revision })).folder
}

/** For what can be done without: one try. */
const BRIEF: Patience = { retry: { attempts: 1 }, stallTimeout: 5_000 }

/**
 * Brings small files that another program had no use for, of the very commit that is there. What cannot be brought is
 * replaced by what the package has, so that no network, no access and no room are no errors here.
 */
async function bringWanted(
  { commit, wanted }: CachedSnapshot,
  makeJob: () => Omit<PullJob, 'revision'>,
): Promise<void> {
  try {
    await pullSnapshot({ ...makeJob(), revision: commit!, only: wanted })
  } catch (error) {
    const isRefusal = error instanceof Sam3HubError || error instanceof Sam3ModelError
    if (!isRefusal || error.code === 'ERR_UNSAFE_PATH') throw error
  }
}

/** Whether no file is damaged. Those of the own cache become missing, and are replaced by the download that follows. */
async function isUsable(
  layout: RepositoryLayout,
  snapshot: CachedSnapshot,
  isOwn: boolean,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const canRemember = await access(layout.folder, constants.W_OK).then(
    () => true,
    () => false,
  )
  const poisoned = await findPoisoned(layout, snapshot, canRemember, signal)
  if (isOwn) snapshot.missing.push(...poisoned.map((name) => `${name} (its content was damaged)`))
  return poisoned.length === 0
}

async function offline(
  repo: string,
  revision: string,
  folder: CacheFolder,
  env: Environment,
  own: CachedSnapshot | undefined,
  byOption: boolean,
): Promise<Sam3HubError> {
  const missing = own?.missing ?? []
  const why = byOption ? 'the option offline' : 'HF_HUB_OFFLINE'
  const what = own?.commit === undefined ? `nothing of revision ${revision} is` : `revision ${revision} is not complete`
  // As in Python, no other revision is taken in its place; but that there is one has to be said.
  const others = (
    await Promise.all(
      searchFolders(folder, env).map(async (cache) =>
        (await completeCommits(cache, repo)).map((commit) => `${commit} in ${cache}`),
      ),
    )
  ).flat()
  const instead =
    others.length === 0 ? '' : ` Or pass the revision of another snapshot, which is complete: ${others.join(', ')}.`
  return new Sam3HubError(
    'ERR_OFFLINE',
    `${repo} cannot be downloaded, because ${why} forbids the network, and ${what} in ${folder.path} (${folder.source}). Missing: ${missing.join(', ')}.`,
    {
      fix: `Run sam3-node pull ${repo}${revision === DEFAULT_REVISION ? '' : ` --revision ${revision}`} --cache-dir <folder> where there is a network, copy that folder here, and set SAM3_CACHE_DIR to it.${instead}`,
    },
  )
}
