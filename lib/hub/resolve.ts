/** From the name of a repository to a folder with its files: found where it is, else downloaded. */
import { access, constants, realpath } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { Sam3HubError } from '../errors.js'
import { type CacheFolder, findCacheFolder, huggingFaceCache, packageCache } from './cache-folder.js'
import { type Environment, hubEndpoint, isOffline } from './environment.js'
import { makeClient, type Patience } from './hub-client.js'
import { checkRevision, RepositoryLayout } from './layout.js'
import { isBlobRight, isKnownGood, rememberGood } from './hashes.js'
import { pullSnapshot } from './pull.js'
import { type CachedSnapshot, findSnapshot } from './snapshot.js'
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
  for (const path of snapshot.files.values()) {
    const etag = basename(path)
    if (dirname(path) !== layout.blobs || !/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) continue
    if (!canRemember || (await isKnownGood(layout, etag))) continue
    if (await isBlobRight(layout, etag, signal)) await rememberGood(layout, etag)
    else poisoned.push(path)
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
  let own: CachedSnapshot | undefined
  for (const path of searchFolders(folder, env)) {
    const isOwn = path === folder.path
    try {
      const snapshot = await findSnapshot(path, repo, revision)
      if (isOwn) own = snapshot
      if (snapshot.missing.length > 0) continue
      if (await isUsable(new RepositoryLayout(path, repo), snapshot, isOwn, options.signal)) return snapshot.folder!
    } catch (error) {
      if (isOwn) throw error // what is wrong with another program's cache does not concern us
    }
  }
  if (options.offline ?? isOffline(env)) throw offline(repo, revision, folder, own, options.offline === true)
  const token = findToken(options.accessToken, env)
  const client = makeClient({ endpoint: hubEndpoint(env), token, signal: options.signal, ...patience })
  const { folder: snapshot } = await pullSnapshot({ repo, revision, folder, client, onProgress: options.onProgress })
  return snapshot
}

/** Whether no file is damaged. Those of the own cache become missing, and are replaced by the download that follows. */
async function isUsable(
  layout: RepositoryLayout,
  snapshot: CachedSnapshot,
  isOwn: boolean,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const real = new RepositoryLayout(await realpath(layout.cache), layout.repo)
  const canRemember = await access(real.folder, constants.W_OK).then(
    () => true,
    () => false,
  )
  const poisoned = await findPoisoned(real, snapshot, canRemember, signal)
  if (isOwn) {
    for (const [name, path] of snapshot.files)
      if (poisoned.includes(path)) snapshot.missing.push(`${name} (its content was damaged)`)
  }
  return poisoned.length === 0
}

function offline(
  repo: string,
  revision: string,
  folder: CacheFolder,
  own: CachedSnapshot | undefined,
  byOption: boolean,
): Sam3HubError {
  const missing = own?.missing ?? []
  const why = byOption ? 'the option offline' : 'HF_HUB_OFFLINE'
  const what = own?.commit === undefined ? `nothing of revision ${revision} is` : `revision ${revision} is not complete`
  return new Sam3HubError(
    'ERR_OFFLINE',
    `${repo} cannot be downloaded, because ${why} forbids the network, and ${what} in ${folder.path} (${folder.source}). Missing: ${missing.join(', ')}.`,
    {
      fix: `Run sam3-node pull ${repo}${revision === DEFAULT_REVISION ? '' : ` --revision ${revision}`} --cache-dir <folder> where there is a network, copy that folder here, and set SAM3_CACHE_DIR to it.`,
    },
  )
}
