/** Downloads what a model needs into the cache. */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { Sam3AbortError, Sam3HubError } from '../base/errors.js'
import { fileSize } from '../base/folders.js'
import { ensureBlob } from './blob.js'
import { asCacheError, type CacheFolder, ELSEWHERE, prepareFolder, probeFolder } from './cache-folder.js'
import { checkSpace, diskFull, freeSpace, isDiskFull } from '../download/disk-space.js'
import { type HubClient, hubError, readRemote } from './client.js'
import { isCommit, RepositoryLayout } from './layout.js'
import { followPointer, linkPointer, type TrustedFolders, trustedFolders } from './links.js'
import { hasContent } from '../download/hashes.js'
import { selectFiles, WEIGHTS_KINDS, type WeightsKind } from './needed-files.js'
import { type FileReporter, ProgressBoard } from '../download/progress.js'
import { findSnapshot, readRef } from './snapshot.js'
import type { RemoteFile, RemoteSnapshot } from './types.js'
import type { PullProgress } from '../download/types.js'

/** Files that are downloaded at the same time. */
const FILES_AT_A_TIME = 4

/** What to bring, and where to. */
export interface PullJob {
  repo: string
  revision: string
  folder: CacheFolder
  client: HubClient
  /** Kind of weights. By default what the cache has, or else the first that the repository has. */
  weights?: WeightsKind
  /** Nothing but these files, as far as the repository has them. What it does not have is remembered. */
  only?: readonly string[]
  onProgress?: (progress: PullProgress) => void
}

/** What came of it. */
export interface PullResult {
  /** Absolute path of the snapshot. */
  folder: string
  commit: string
  files: RemoteFile[]
  /** Files that were not in the cache before. */
  downloaded: string[]
}

/**
 * Brings a revision of a repository. Every file becomes visible only when it is complete and its hash is right; the
 * revision's name points to the new commit only when all of its files are there.
 * @throws Sam3HubError, Sam3ModelError `ERR_MODEL_NOT_FOUND`, Sam3AbortError
 */
export async function pullSnapshot(job: PullJob): Promise<PullResult> {
  const { repo, revision, folder, client } = job
  const layout = new RepositoryLayout(folder.path, repo)
  try {
    client.signal?.throwIfAborted()
    probeFolder(folder, layout.folder)
    const snapshot = await readRemote(repo, revision, client)
    // Made only now: a misspelt name leaves nothing behind.
    for (const path of [layout.folder, layout.locks]) prepareFolder(folder, path)
    const files = job.only
      ? await presentOf(snapshot, job.only, layout)
      : neededFiles(snapshot, job.weights ?? (await kindInCache(layout, snapshot)))
    await checkSpace(folder.path, await bytesToCome(layout, snapshot, files), ELSEWHERE)
    const downloaded = await bringAll(layout, snapshot, files, job)
    if (!isCommit(revision)) await writeRef(layout, revision, snapshot.commit)
    return { folder: layout.snapshot(snapshot.commit), commit: snapshot.commit, files, downloaded }
  } catch (error) {
    if (error instanceof CallbackError) throw error.cause
    if (client.signal?.aborted) throw new Sam3AbortError(client.signal.reason)
    if (isDiskFull(error)) {
      throw diskFull(folder.path, { free: await freeSpace(folder.path), elsewhere: ELSEWHERE, cause: error })
    }
    const known = asCacheError(error, folder)
    throw isFileError(known) ? known : hubError(known, repo, revision, client)
  }
}

/** Errors of the disk stay what they are; the rest of what is left by then comes from the network. */
function isFileError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && 'path' in error
}

/** Whoever has Meta's file need not download the same numbers again in another form. */
async function kindInCache(layout: RepositoryLayout, { commit }: RemoteSnapshot): Promise<WeightsKind | undefined> {
  // A link that leads out is no reason to stop: it is about to be replaced.
  const found = await findSnapshot(layout.cache, layout.repo, commit).catch(() => undefined)
  return found?.missing.length === 0 ? found.kind : undefined
}

function neededFiles(snapshot: RemoteSnapshot, weights: WeightsKind | undefined): RemoteFile[] {
  const names = snapshot.files.map(({ path }) => path)
  const selections = (weights ? [weights] : WEIGHTS_KINDS).map((kind) => selectFiles(names, kind))
  const { files, missing } = selections.find((one) => one.missing.length === 0) ?? selections[0]!
  if (missing.length > 0) {
    throw new Sam3HubError('ERR_HUB_RESPONSE', `${snapshot.repo} at ${snapshot.commit} lacks ${missing.join(', ')}.`, {
      fix: 'It is not a SAM 3 model in the form that this library reads: use facebook/sam3, facebook/sam3.1 or a copy of one.',
    })
  }
  return snapshot.files.filter(({ path }) => files.includes(path))
}

async function presentOf(
  { files, commit }: RemoteSnapshot,
  names: readonly string[],
  layout: RepositoryLayout,
): Promise<RemoteFile[]> {
  const present = files.filter(({ path }) => names.includes(path))
  for (const name of names) {
    if (present.some(({ path }) => path === name)) continue
    const marker = layout.noExist(commit, name)
    await mkdir(dirname(marker), { recursive: true })
    await writeFile(marker, '')
  }
  return present
}

/** The caller's own onProgress threw: the download ends with that error, as it is. */
class CallbackError extends Error {
  constructor(override readonly cause: unknown) {
    super()
  }
}

/** Bytes that are neither in the cache nor in a partial file. */
async function bytesToCome(
  layout: RepositoryLayout,
  { commit }: RemoteSnapshot,
  files: readonly RemoteFile[],
): Promise<number> {
  const missing = await Promise.all(
    files.map(async ({ hash, size, path }) => {
      for (const place of [layout.blob(hash), layout.pointer(commit, path)]) {
        if ((await fileSize(place)) === size) return 0
      }
      return Math.max(0, size - ((await fileSize(layout.partial(hash))) ?? 0))
    }),
  )
  return missing.reduce((sum, size) => sum + size, 0)
}

/** Whether the name in the snapshot is the file itself and not a link to a blob, as on a file system without links. */
async function isCopied(
  pointer: string,
  trusted: TrustedFolders,
  file: RemoteFile,
  signal: AbortSignal,
  reporter: FileReporter,
): Promise<boolean> {
  const there = await followPointer(pointer, trusted)
  if (there.kind !== 'file' || there.etag !== undefined || (await fileSize(there.path)) !== file.size) return false
  const isRight = await hasContent(there.path, file, signal, (done) => reporter.report('verifying', done))
  if (!isRight) return false
  reporter.report('cached', file.size)
  return true
}

/** Several at a time; the first failure stops the others, and what they have is kept. */
async function bringAll(
  layout: RepositoryLayout,
  snapshot: RemoteSnapshot,
  files: readonly RemoteFile[],
  job: PullJob,
): Promise<string[]> {
  const failed = new AbortController()
  const outer = job.client.signal
  const client = { ...job.client, signal: outer ? AbortSignal.any([outer, failed.signal]) : failed.signal }
  const downloaded: string[] = []
  // Small files first: a refusal shows at once, not after the weights.
  const board = new ProgressBoard(files, job.onProgress, (error) => failed.abort(new CallbackError(error)))
  const waiting = [...files].sort((one, other) => one.size - other.size)
  const trusted = await trustedFolders(layout, snapshot.commit)
  const worker = async () => {
    for (let file = waiting.shift(); file && !failed.signal.aborted; file = waiting.shift()) {
      try {
        const pointer = layout.pointer(snapshot.commit, file.path)
        const reporter = board.file(file)
        if (await isCopied(pointer, trusted, file, client.signal, reporter)) continue
        if (await ensureBlob(layout, snapshot, file, client, reporter)) downloaded.push(file.path)
        await linkPointer(layout.blob(file.hash), pointer, layout.scratch)
      } catch (error) {
        failed.abort(error) // the first reason stays
      }
    }
  }
  await Promise.all(Array.from({ length: FILES_AT_A_TIME }, worker))
  if (failed.signal.aborted) throw failed.signal.reason
  return downloaded
}

async function writeRef(layout: RepositoryLayout, revision: string, commit: string): Promise<void> {
  if ((await readRef(layout, revision)) === commit) return
  const path = layout.ref(revision)
  for (const folder of [dirname(path), layout.scratch]) await mkdir(folder, { recursive: true })
  const temporary = join(layout.scratch, randomUUID())
  await writeFile(temporary, commit)
  await rename(temporary, path)
}
