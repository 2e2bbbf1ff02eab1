/** Brings a LibTorch into the store: download, verify, unpack, try in a process of its own, and only then give it its name. */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileSize } from '../base/folders.js'
import { takeLock } from '../download/lock.js'
import { checkSpace } from '../download/disk-space.js'
import { ProgressBoard } from '../download/progress.js'
import type { Patience } from '../download/connection.js'
import { transfer } from '../download/transfer.js'
import type { PullProgress } from '../download/types.js'
import { downloadError, Line } from './line.js'
import type { Flavour, Source } from './sources.js'
import { ELSEWHERE, place, removeStale, stagingFolder } from './store.js'
import { readText, unpack, unpackedSize } from './unpack.js'
import { checkFlavour, companionsOf, findCompanion, findTorch } from './wheels.js'

/** What to install. */
export interface InstallJob {
  version: string
  flavour: Flavour
  source: Source
  store: string
  signal?: AbortSignal
  onProgress?: (progress: PullProgress) => void
  /** Tells about what is no download: asking the index, unpacking. */
  onStep?: (text: string) => void
  /** Tries the folder before it gets its name; what it throws ends the installation. */
  test?: (folder: string) => Promise<void>
  patience?: Patience
}

/** A file to download. */
interface Part {
  name: string
  url: string
  size: number
  sha256: string
}

/**
 * Installs, unless it is there already. What was downloaded by a run that failed is kept and continued.
 * @returns the folder, and whether it was there
 * @throws Sam3EnvironmentError `ERR_LIBTORCH_DOWNLOAD` and those of `test`, Sam3HubError (`ERR_DOWNLOAD_CORRUPT`,
 * `ERR_DISK_FULL`, `ERR_CACHE_NOT_WRITABLE`), Sam3AbortError
 */
export async function installLibtorch(job: InstallJob): Promise<{ folder: string; present: boolean }> {
  const { store, signal, version, flavour } = job
  const name = `${version}+${flavour}`
  const folder = join(store, name)
  if (existsSync(folder)) return { folder, present: true }
  const line = new Line(signal, job.patience)
  try {
    await mkdir(store, { recursive: true })
    const lock = await takeLock(join(store, '.lock'), {
      signal,
      timing: line.connection.lock,
      onWait: () => job.onStep?.('another process is installing: waiting for it'),
    })
    try {
      if (existsSync(folder)) return { folder, present: true } // the one that was waited for
      await removeStale(store)
      const parts = await download(job, line)
      const staged = await stagingFolder(store)
      try {
        await unpackAll(job, parts, staged)
        await job.test?.(staged)
        await place(staged, store, name)
      } catch (error) {
        await rm(staged, { recursive: true, force: true })
        throw error
      }
      await rm(downloads(store), { recursive: true, force: true })
      return { folder, present: false }
    } finally {
      await lock.release()
    }
  } catch (error) {
    throw downloadError(error, `LibTorch ${name} could not be installed`, store, signal)
  }
}

const downloads = (store: string) => join(store, '.downloads')
/** By its hash, so that bytes of another build are never continued. */
const fileOf = (store: string, { sha256 }: Part) => join(downloads(store), sha256)

async function download(job: InstallJob, line: Line): Promise<Part[]> {
  const { source, version, flavour } = job
  await mkdir(downloads(job.store), { recursive: true })
  if (source.kind === 'archive') {
    const part = { name: source.url.replace(/^.*\//, ''), url: source.url, size: source.bytes, sha256: source.sha256 }
    await fetchAll(job, line, [part])
    return [part]
  }
  job.onStep?.('asking the index')
  const torch = await findTorch(source.indexes, version, flavour, line)
  // Asked for before the wheel, where the index has it: the wrong wheel is hundreds of megabytes.
  let metadata = torch.metadata ? (await line.text(`${torch.url}.metadata`)).text : undefined
  if (metadata !== undefined) checkFlavour(metadata, torch, flavour)
  if (metadata === undefined) {
    await fetchAll(job, line, [torch])
    metadata = (await readText(fileOf(job.store, torch), /^torch-[^/]*\.dist-info\/METADATA$/)) ?? ''
    checkFlavour(metadata, torch, flavour)
  }
  const parts: Part[] = [torch]
  for (const companion of companionsOf(metadata)) parts.push(await findCompanion(source.indexes, companion, line))
  await fetchAll(job, line, parts)
  return parts
}

/** One after the other: each is large enough to fill the line. */
async function fetchAll(job: InstallJob, line: Line, parts: readonly Part[]): Promise<void> {
  const { store, signal } = job
  const missing = await Promise.all(
    parts.map(async (part) => {
      const path = fileOf(store, part)
      return existsSync(path) ? 0 : Math.max(0, part.size - ((await fileSize(`${path}.partial`)) ?? 0))
    }),
  )
  await checkSpace(
    store,
    missing.reduce((sum, size) => sum + size, 0),
    ELSEWHERE,
  )
  let failed: unknown
  const files = parts.map(({ name, size, sha256 }) => ({ path: name, size, hash: sha256 }))
  const board = new ProgressBoard(files, job.onProgress, (error) => {
    failed ??= error
  })
  for (const [index, part] of parts.entries()) {
    signal?.throwIfAborted()
    if (failed) throw failed
    const path = fileOf(store, part)
    const reporter = board.file(files[index]!)
    if (!existsSync(path)) {
      const partial = `${path}.partial`
      const [file, source] = [files[index]!, line.source(part.url)]
      await transfer({ file, partial, source, connection: line.connection, elsewhere: ELSEWHERE, reporter })
      await rename(partial, path)
    }
    reporter.report('done', part.size)
  }
}

async function unpackAll({ store, signal, onStep }: InstallJob, parts: readonly Part[], folder: string): Promise<void> {
  const sizes = await Promise.all(parts.map((part) => unpackedSize(fileOf(store, part))))
  await checkSpace(
    store,
    sizes.reduce((sum, size) => sum + size, 0),
    ELSEWHERE,
  )
  for (const part of parts) {
    onStep?.(`unpacking ${part.name}`)
    await unpack(fileOf(store, part), folder, signal)
  }
}
