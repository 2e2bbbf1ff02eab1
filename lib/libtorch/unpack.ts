/** Takes the parts of an archive or a wheel that LibTorch is made of. Both are zip files; yauzl reads them. */
import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type Entry, openPromise, type ZipFile } from 'yauzl'
import { Sam3Error, Sam3HubError } from '../base/errors.js'

/** A symbolic link by the Unix mode of an entry: neither an archive nor a wheel holds any. */
const isLink = ({ externalFileAttributes }: Entry) => ((externalFileAttributes >>> 16) & 0o170000) === 0o120000

/**
 * What is taken, and under which name: libraries, headers (to build the engine), the version, the licences. Python's
 * own files and static libraries are left.
 */
export function wanted(name: string): string | undefined {
  if (name.endsWith('/') || /libtorch_python|libshm\//.test(name)) return undefined
  if (/^(?:libtorch|torch)\/lib\/[^/]+\.so[.\d]*$/.test(name)) return name
  if (/^(?:libtorch|torch)\/include\//.test(name)) return name
  if (/^(?:libtorch\/build-(?:version|hash)|torch\/version\.py)$/.test(name)) return name
  // Where LibTorch looks for its companions: nvidia/*/lib, and cusparselt/lib in older builds.
  if (/^(?:nvidia|cusparselt)\/(?:.+\/)?lib\/[^/]+\.so[.\d]*$/.test(name)) return name
  if (/^[^/]+\.dist-info\/(?:licen[cs]es\/.*|licen[cs]e[^/]*|notice[^/]*)$/i.test(name)) return `licences/${name}`
  return undefined
}

async function withZip<T>(file: string, use: (zip: ZipFile) => Promise<T>): Promise<T> {
  let zip: ZipFile | undefined
  try {
    zip = await openPromise(file, { autoClose: false })
    return await use(zip)
  } catch (error) {
    const { name } = error as Error
    // The disk's own errors name a system call; what else comes from here was found in the file.
    if (error instanceof Sam3Error || name === 'AbortError' || 'syscall' in (error as Error)) throw error
    throw damaged(file, error)
  } finally {
    zip?.close()
  }
}

function damaged(file: string, cause: unknown): Sam3HubError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new Sam3HubError('ERR_DOWNLOAD_CORRUPT', `${file} cannot be unpacked: ${why}.`, {
    cause,
    fix: 'Report it: its hash is right, so what is offered for download is damaged.',
  })
}

/** Bytes that {@link unpack} will write. */
export function unpackedSize(file: string): Promise<number> {
  return withZip(file, async (zip) => {
    let bytes = 0
    for await (const entry of zip.eachEntry()) if (wanted(entry.fileName)) bytes += entry.uncompressedSize
    return bytes
  })
}

/** The text of the first entry whose name fits. */
export function readText(file: string, name: RegExp): Promise<string | undefined> {
  return withZip(file, async (zip) => {
    for await (const entry of zip.eachEntry()) {
      if (!name.test(entry.fileName)) continue
      const stream = await zip.openReadStreamPromise(entry)
      let text = ''
      for await (const chunk of stream) text += chunk
      return text
    }
    return undefined
  })
}

/** Writes what is {@link wanted} into `folder`. @returns files written */
export function unpack(file: string, folder: string, signal?: AbortSignal): Promise<number> {
  return withZip(file, async (zip) => {
    let files = 0
    for await (const entry of zip.eachEntry()) {
      signal?.throwIfAborted()
      // yauzl itself refuses names that lead out of the folder.
      const name = wanted(entry.fileName)
      if (!name) continue
      if (isLink(entry)) throw damaged(file, new Error(`${entry.fileName} is a link`))
      const path = join(folder, name)
      await mkdir(dirname(path), { recursive: true })
      await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(path, { flags: 'wx' }), { signal })
      files++
    }
    return files
  })
}
