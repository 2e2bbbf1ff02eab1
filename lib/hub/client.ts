/** Asks the hub about a repository, through @huggingface/hub, and gives its refusals their place among our errors. */
import { Sam3AbortError, Sam3Error, Sam3HubError, Sam3ModelError } from '../base/errors.js'
import { accessError, accessReason } from './access-error.js'
import { type Connection, connection, type Patience } from '../download/connection.js'
import { HttpError, hostFetch } from '../download/fetch.js'
import { checkCommit } from './layout.js'
import { withRetries } from '../download/retry.js'
import { redact, type Token } from './token.js'
import type { RemoteFile, RemoteSnapshot } from './types.js'

/** Where and as whom to ask. */
export interface HubClient extends Connection {
  endpoint: string
  token: Token | undefined
}

export function makeClient(from: Pick<HubClient, 'endpoint' | 'token' | 'signal'> & Patience): HubClient {
  return { endpoint: from.endpoint, token: from.token, ...connection(from.signal, from) }
}

/** The fetch of a client: its token goes to the hub, and to no other host. */
export function hubFetch({ endpoint, token, signal }: HubClient): typeof fetch {
  return hostFetch({ endpoint, token: token?.value, signal })
}

/** The package is loaded only when the network is needed: a model from the cache starts without it. */
export function hubLibrary(): Promise<typeof import('@huggingface/hub')> {
  return import('@huggingface/hub')
}

/** A typed error with the fix for whatever went wrong between us and the hub. */
export function hubError(error: unknown, repo: string, revision: string, client: HubClient): Sam3Error {
  if (client.signal?.aborted) return new Sam3AbortError(client.signal.reason)
  if (error instanceof Sam3Error) return error
  const { endpoint, token } = client
  if (error instanceof HttpError) {
    const said = redact(error.said, token)
    const cause = new HttpError(error.status, error.errorCode, said, error.retryAfter)
    const reason = accessReason({ status: error.status, code: error.errorCode, message: error.said }, token)
    // The hub does not tell apart what is private and what does not exist, unless a valid token is sent.
    if (error.status === 404 || error.errorCode === 'RepoNotFound') return notThere(cause, repo, revision, client)
    if (reason) return accessError(repo, endpoint, reason, token, cause)
    const wait = error.retryAfter === undefined ? '' : ` It asks to wait ${Math.ceil(error.retryAfter / 1000)} s.`
    return new Sam3HubError('ERR_HUB_RESPONSE', `${endpoint} answered ${cause.message}.${wait}`, {
      cause,
      fix: 'Try again later; what has arrived is kept.',
    })
  }
  const root = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const message = redact(root instanceof Error ? root.message : String(root), token)
  return new Sam3HubError('ERR_HUB_UNREACHABLE', `The connection to ${endpoint} failed: ${message}.`, {
    cause: new Error(message),
    fix: 'Check the network and HF_ENDPOINT, then try again: what has arrived is kept. Without a network, see docs/models.md on offline use.',
  })
}

function notThere(cause: HttpError, repo: string, revision: string, { endpoint, token }: HubClient): Sam3Error {
  if (cause.errorCode === 'RevisionNotFound') {
    return new Sam3HubError('ERR_REVISION_NOT_FOUND', `${repo} has no revision ${revision}.`, {
      cause,
      fix: `See ${endpoint}/${repo}/tree/main for its branches, tags and commits.`,
    })
  }
  return new Sam3ModelError(
    'ERR_MODEL_NOT_FOUND',
    `${endpoint} has no model ${repo}${token ? '' : ' that everybody may see'}.`,
    {
      cause,
      fix: token
        ? 'Check its spelling.'
        : 'Check its spelling; if it is private, log in with hf auth login or set HF_TOKEN.',
    },
  )
}

/**
 * The commit of a revision, and all files of that commit: two requests.
 * @throws Sam3HubError, Sam3ModelError `ERR_MODEL_NOT_FOUND`, Sam3AbortError
 */
export async function readRemote(repo: string, revision: string, client: HubClient): Promise<RemoteSnapshot> {
  const { listFiles, modelInfo } = await hubLibrary()
  const { endpoint: hubUrl, retry, signal } = client
  const fetch = hubFetch(client)
  try {
    const { sha } = await withRetries(
      () => modelInfo({ name: repo, revision, hubUrl, fetch, additionalFields: ['sha'] }),
      retry,
      signal,
    )
    checkCommit(sha)
    const files = await withRetries(
      async () => {
        const list: RemoteFile[] = []
        for await (const { type, path, size, oid = '', lfs, xetHash } of listFiles({
          repo,
          revision: sha,
          recursive: true,
          hubUrl,
          fetch,
        })) {
          if (type === 'file')
            list.push({ path, size: lfs?.size ?? size, hash: lfs?.oid ?? oid, xet: xetHash !== undefined })
        }
        return list
      },
      retry,
      signal,
    )
    return { repo, commit: sha, files }
  } catch (error) {
    throw hubError(error, repo, revision, client)
  }
}

/** Whether the files of a repository may be read, by asking for one byte of one of them. */
export async function checkAccess(repo: string, revision: string, path: string, client: HubClient): Promise<void> {
  const url = `${client.endpoint}/${repo}/resolve/${encodeURIComponent(revision)}/${path}`
  try {
    const response = await hubFetch(client)(url, { headers: { range: 'bytes=0-0' } })
    await response.body?.cancel()
  } catch (error) {
    throw hubError(error, repo, revision, client)
  }
}
