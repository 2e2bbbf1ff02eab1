/** The bytes of a file of the hub: by Xet where the hub has it there, else by plain HTTP. */
import { type HubClient, hubFetch, hubLibrary } from './client.js'
import { HttpError } from '../download/fetch.js'
import type { ByteSource } from '../download/transfer.js'
import type { RemoteFile, RemoteSnapshot } from './types.js'

/** Tries by Xet before the same bytes are asked for by plain HTTP, which gets through more firewalls. */
const XET_TRIES = 2

export function hubSource(snapshot: RemoteSnapshot, file: RemoteFile, client: HubClient): ByteSource {
  const { repo, commit } = snapshot
  const { endpoint: hubUrl } = client
  return {
    origin: `${hubUrl}/${repo}`,
    fix: 'Try again later; if it stays, a proxy or a mirror (HF_ENDPOINT) alters the file.',
    open: async (offset, attempt, signal) => {
      const { downloadFile, fileDownloadInfo } = await hubLibrary()
      // The library passes on only the message of what went wrong in a stream.
      let failure: unknown
      const inner = hubFetch({ ...client, signal })
      const fetch: typeof inner = async (...request) => {
        try {
          return await inner(...request)
        } catch (error) {
          failure = error
          throw error
        }
      }
      const place = { repo, path: file.path, revision: commit, hubUrl, fetch }
      const url = `${hubUrl}/${repo}/resolve/${commit}/${file.path.split('/').map(encodeURIComponent).join('/')}`
      // Only for Xet does the hub have to be asked where the bytes are.
      const xet = file.xet && attempt <= XET_TRIES
      const info = xet ? await fileDownloadInfo(place) : { size: file.size, etag: file.hash, url }
      const blob = info && (await downloadFile({ ...place, downloadInfo: { ...info, size: file.size } }))
      if (!blob) throw new HttpError(404, 'EntryNotFound', `${file.path} is gone`, undefined)
      return { stream: (blob.slice(offset) as Blob).stream(), failure: () => failure }
    },
  }
}
