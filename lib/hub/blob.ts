/** Makes sure that one blob is in the cache, complete and right, whoever brings it. */
import { copyFile, mkdir, rename, rm } from 'node:fs/promises'
import { constants } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileSize } from '../base/folders.js'
import { takeLock } from '../download/lock.js'
import { isBlobRight, isKnownGood, rememberGood } from './verified.js'
import { ELSEWHERE } from './cache-folder.js'
import type { HubClient } from './client.js'
import { hubSource } from './source.js'
import type { RepositoryLayout } from './layout.js'
import type { FileReporter } from '../download/progress.js'
import { isFlocked } from './python-lock.js'
import { transfer } from '../download/transfer.js'
import type { RemoteFile, RemoteSnapshot } from './types.js'

const PYTHON_POLL = 300

/**
 * Whether the blob is there and right. One that nobody has checked yet, or that was changed since, is hashed; one that
 * is wrong is deleted, so that it is fetched again.
 */
async function isThere(
  layout: RepositoryLayout,
  file: RemoteFile,
  client: HubClient,
  reporter: FileReporter,
): Promise<boolean> {
  const path = layout.blob(file.hash)
  const size = await fileSize(path)
  if (size === undefined) return false
  if (size === file.size) {
    if (await isKnownGood(layout, file.hash)) return true
    if (await isBlobRight(layout, file.hash, client.signal, (done) => reporter.report('verifying', done))) {
      await rememberGood(layout, file.hash)
      return true
    }
  }
  await rm(path, { force: true })
  return false
}

/** Python's huggingface_hub may be downloading the same blob: its result is as good as ours. */
async function waitForPython(
  layout: RepositoryLayout,
  file: RemoteFile,
  client: HubClient,
  reporter: FileReporter,
): Promise<void> {
  while ((await fileSize(layout.blob(file.hash))) === undefined && (await isFlocked(layout.pythonLock(file.hash)))) {
    reporter.report('waiting', (await fileSize(layout.partial(file.hash))) ?? 0)
    await sleep(PYTHON_POLL, undefined, { signal: client.signal })
  }
}

/** Gives the partial file a new identity: an owner that was wrongly presumed dead keeps writing to the old one. */
async function copyPartial(partial: string): Promise<void> {
  const copy = `${partial}.copy`
  try {
    await copyFile(partial, copy, constants.COPYFILE_FICLONE)
    await rename(copy, partial)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/** Brings one blob. @returns whether anything was downloaded. */
export async function ensureBlob(
  layout: RepositoryLayout,
  snapshot: RemoteSnapshot,
  file: RemoteFile,
  client: HubClient,
  reporter: FileReporter,
): Promise<boolean> {
  const blob = layout.blob(file.hash)
  const partial = layout.partial(file.hash)
  if ((await fileSize(blob)) === file.size && (await isKnownGood(layout, file.hash))) {
    reporter.report('cached', file.size)
    return false
  }
  await mkdir(layout.blobs, { recursive: true })
  const onWait = async () => reporter.report('waiting', (await fileSize(blob)) ?? (await fileSize(partial)) ?? 0)
  for (;;) {
    const lock = await takeLock(layout.lock(file.hash), { signal: client.signal, onWait, timing: client.lock })
    try {
      await waitForPython(layout, file, client, reporter)
      if (await isThere(layout, file, client, reporter)) {
        reporter.report('cached', file.size)
        return false
      }
      if (!lock.alone) await copyPartial(partial)
      const source = hubSource(snapshot, file, client)
      await transfer({ file, partial, source, connection: client, elsewhere: ELSEWHERE, reporter })
      // A process that slept through its turn must leave the file to the one that has the lock now.
      if (!(await lock.isMine())) continue
      await rename(partial, blob)
      await rememberGood(layout, file.hash)
      reporter.report('done', file.size)
      return true
    } finally {
      await lock.release()
    }
  }
}
