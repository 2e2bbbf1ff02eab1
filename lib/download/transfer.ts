/** Brings the bytes of one file into its partial file: resumes, tries again, and checks the hash. */
import { type FileHandle, open } from 'node:fs/promises'
import { constants } from 'node:fs'
import type { Hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Sam3HubError } from '../base/errors.js'
import { diskFull, freeSpace, isDiskFull } from './disk-space.js'
import { contentHash, hashFile } from './hashes.js'
import type { Connection } from './connection.js'
import { HttpError, RangeIgnoredError } from './fetch.js'
import type { FileReporter } from './progress.js'
import { pauseBefore } from './retry.js'
import type { PromisedFile } from './types.js'

/** Bytes that are gathered before they are written. */
const WRITE_SIZE = 1 << 18
/** Times that a complete file may have the wrong hash before it is the hub's fault. */
const MAX_WRONG = 2

/** A connection that bytes come from. */
export interface ByteStream {
  stream: ReadableStream<Uint8Array>
  /** What went wrong, where the stream itself only says that something did. */
  failure?: () => unknown
}

/** Where the bytes of a file come from. */
export interface ByteSource {
  /** Who promised the content, as messages name it. */
  origin: string
  /** What to do when the content is not what was promised. */
  fix: string
  /** Opens a connection that begins at byte `offset`. `attempt` counts from 1 after every progress. */
  open(offset: number, attempt: number, signal: AbortSignal): Promise<ByteStream>
}

/** What is fetched, and into which file. */
export interface Transfer {
  file: PromisedFile
  partial: string
  source: ByteSource
  connection: Pick<Connection, 'signal' | 'retry' | 'stallTimeout'>
  /** How a user names another folder, where this one is full. */
  elsewhere: string
  reporter: FileReporter
}

/**
 * Leaves `partial` complete and with the right hash, or as far as it came for the next time.
 * @throws HttpError and errors of the network when they last; Sam3HubError `ERR_DOWNLOAD_CORRUPT`,
 * `ERR_DISK_FULL`; the signal's reason
 */
export async function transfer(job: Transfer): Promise<void> {
  const { file, partial, connection, elsewhere } = job
  // Nobody may lead our writing elsewhere by a link with the name of the partial file.
  const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0)
  const handle = await open(partial, flags, 0o666)
  try {
    for (let wrong = 0; ; ) {
      const hash = await fetchAll(job, handle)
      if (hash.digest('hex') === file.hash) break
      await handle.truncate(0)
      if (++wrong >= MAX_WRONG) throw wrongHash(job)
    }
    await handle.datasync() // a crash of the machine must not leave a visible file with holes
  } catch (error) {
    if (!isDiskFull(error)) throw error
    const missing = file.size - (await handle.stat()).size
    throw diskFull(partial, { needed: missing, free: await freeSpace(partial).catch(() => 0), elsewhere, cause: error })
  } finally {
    await handle.close()
  }
  connection.signal?.throwIfAborted()
}

function wrongHash({ file, source }: Transfer): Sam3HubError {
  return new Sam3HubError(
    'ERR_DOWNLOAD_CORRUPT',
    `${file.path} came with another content than ${source.origin} promised (${file.hash}), ${MAX_WRONG} times.`,
    { fix: source.fix },
  )
}

/** Receives what is missing, in as many tries as it takes. Gives the hash of all bytes. */
async function fetchAll(job: Transfer, handle: FileHandle): Promise<Hash> {
  const { file, partial, connection, reporter } = job
  let offset = (await handle.stat()).size
  if (offset > file.size) {
    await handle.truncate(0)
    offset = 0
  }
  let hash = contentHash(file)
  await hashFile(partial, offset, hash, connection.signal, (done) => reporter.report('verifying', done))
  for (let attempt = 1; offset < file.size; ) {
    const start = offset
    try {
      for await (const chunks of receive(job, offset, attempt)) {
        const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
        await handle.writev(chunks, offset)
        for (const chunk of chunks) hash.update(chunk)
        offset += size
        reporter.report('downloading', offset)
      }
      if (offset < file.size) throw new Error(`the connection ended after ${offset} of ${file.size} bytes`)
    } catch (error) {
      connection.signal?.throwIfAborted()
      if (error instanceof RangeIgnoredError || (error instanceof HttpError && error.status === 416)) {
        // The server cannot continue where we stopped, so it has to begin again.
        await handle.truncate(0)
        offset = 0
        hash = contentHash(file)
        if (start === 0) throw error
        continue
      }
      attempt = offset > start ? 1 : attempt
      const pause = pauseBefore(attempt++, error, connection.retry)
      if (pause === undefined) throw error
      reporter.report('retrying', offset)
      await sleep(pause, undefined, { signal: connection.signal })
    }
  }
  return hash
}

/** The bytes from `offset` on, in batches. Ends early where the connection does. */
async function* receive(
  { file, source, connection }: Transfer,
  offset: number,
  attempt: number,
): AsyncGenerator<Uint8Array[]> {
  const { stallTimeout } = connection
  const stop = new AbortController()
  const signal = connection.signal ? AbortSignal.any([connection.signal, stop.signal]) : stop.signal
  const { stream, failure } = await source.open(offset, attempt, signal)
  const reader = stream.getReader()
  const cancel = () => void reader.cancel().catch(() => {})
  signal.addEventListener('abort', cancel, { once: true })
  let timer: NodeJS.Timeout | undefined
  let batch: Uint8Array[] = []
  let gathered = 0
  let received = offset
  try {
    for (;;) {
      timer = setTimeout(() => stop.abort(new Error(`no byte came for ${stallTimeout / 1000} s`)), stallTimeout)
      const { done, value } = await reader.read()
      clearTimeout(timer)
      signal.throwIfAborted()
      if (done) break
      received += value.length
      if (received > file.size) throw new Error(`more than the promised ${file.size} bytes came`)
      batch.push(value)
      gathered += value.length
      if (gathered < WRITE_SIZE) continue
      yield batch
      batch = []
      gathered = 0
    }
  } catch (error) {
    // What has come is kept, whatever ended it.
    if (gathered > 0) yield batch
    batch = []
    throw failure?.() ?? error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
    stop.abort()
    cancel()
  }
  if (gathered > 0) yield batch
}
