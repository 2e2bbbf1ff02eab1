/**
 * A hub on loopback that behaves like Hugging Face as far as downloads go: two servers, the hub itself and the host to
 * which it redirects large files. Served over real sockets, so that what the client's network code does is tested too.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Fault, type FaultRule, type HubRequest, sendContent } from './faults.js'
import { etagOf, gitBlobId, type HubFile, type HubRepository, sha256 } from './repository.js'
import { reconstruction, xetHash, xorbOf } from './xet.js'

/** What the account of a token may do with gated repositories. */
export type Grant = 'granted' | 'none' | 'pending' | 'rejected' | 'no-scope'

const MESSAGES: Record<Exclude<Grant, 'granted'>, (repo: string) => string> = {
  none: (repo) =>
    `Access to model ${repo} is restricted and you are not in the authorized list. Visit https://huggingface.co/${repo} to ask for access.`,
  pending: (repo) => `Your request to access model ${repo} is awaiting a review from the repo authors.`,
  rejected: (repo) => `Your request to access model ${repo} has been rejected by the repo's authors.`,
  'no-scope': () =>
    'Please enable access to public gated repositories in your fine-grained token settings to view this repository.',
}

export class HubServer {
  readonly repositories = new Map<string, HubRepository>()
  readonly tokens = new Map<string, Grant>()
  /** Every request so far, on both hosts. */
  readonly requests: HubRequest[] = []
  /** The first rule that gives a fault decides. */
  faults: FaultRule[] = []
  endpoint = ''
  #cdnAddress = ''
  #hub: Server | undefined
  #cdn: Server | undefined

  /** @param port 0 for any; the same one again for a server that comes back */
  async start(port = 0): Promise<this> {
    this.#cdn = createServer((request, response) => this.#handle('cdn', request, response))
    this.#hub = createServer((request, response) => this.#handle('hub', request, response))
    this.#cdnAddress = await listen(this.#cdn, 0)
    this.endpoint = await listen(this.#hub, port)
    return this
  }

  /** Dies as a killed process does: open connections are reset. */
  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server?.closeAllConnections()
      await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)))
    }
  }

  /** Back to a hub without faults and without a past. */
  reset(): void {
    this.faults = []
    this.requests.length = 0
    this.tokens.clear()
    this.repositories.clear()
  }

  /** Requests that carry content, rather than only headers or metadata. */
  contentRequests(): HubRequest[] {
    return this.requests.filter(
      ({ method, path, status }) =>
        method === 'GET' && status < 300 && (!path.startsWith('/api/models') || path.includes('/resolve-cache/')),
    )
  }

  async #handle(host: 'hub' | 'cdn', request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, `http://${host}`)
    const seen: HubRequest = {
      host,
      method: request.method!,
      path: decodeURIComponent(url.pathname),
      from: Number(/^bytes=(\d+)/.exec(request.headers.range ?? '')?.[1] ?? 0),
      authorization: request.headers.authorization,
      status: 0,
    }
    this.requests.push(seen)
    response.on('close', () => {
      seen.status = response.statusCode
    })
    const fault = this.faults.map((rule) => rule(seen)).find((one) => one !== undefined)
    response.setHeader('x-request-id', 'test')
    if (fault?.status) response.writeHead(fault.status, fault.headers).end('fault')
    else if (host === 'cdn') await this.#serveCdn(seen, request, response, url, fault)
    else await this.#serveHub(seen, request, response, fault)
  }

  async #serveHub(
    seen: HubRequest,
    request: IncomingMessage,
    response: ServerResponse,
    fault: Fault | undefined,
  ): Promise<void> {
    const api =
      /^\/api\/models\/([^/]+\/[^/]+)(?:\/(revision|tree|xet-read-token|resolve-cache)\/([^/]+)(?:\/(.*))?)?$/.exec(
        seen.path,
      )
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(seen.path)
    const [repo, kind, revision, path] = api
      ? [api[1]!, api[2] ?? 'revision', api[3] ?? 'main', api[4]]
      : [file?.[1], 'resolve', file?.[2], file?.[3]]
    const token = seen.authorization?.replace(/^Bearer /, '')
    if (token !== undefined && !this.tokens.has(token))
      return refuse(response, 401, '', 'Invalid credentials in Authorization header')
    const repository = this.repositories.get(repo ?? '')
    if (!repository)
      return token
        ? refuse(response, 404, 'RepoNotFound', 'Repository not found')
        : refuse(response, 401, 'RepoNotFound', 'Invalid username or password.')
    const id = revision === 'HEAD' ? repository.refs.get('main') : (repository.refs.get(revision!) ?? revision!)
    const files = repository.commits.get(id!)
    if (!files) return refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`)
    if (kind === 'revision') return json(response, modelInfo(repo!, id!, files, repository.gated))
    if (kind === 'tree') return json(response, tree(files))
    const grant = token === undefined ? undefined : this.tokens.get(token)!
    if (repository.gated && grant === undefined) {
      return refuse(
        response,
        401,
        'GatedRepo',
        `Access to model ${repo} is restricted. You must have access to it and be authenticated to access it. Please log in.`,
      )
    }
    if (repository.gated && grant !== 'granted')
      return refuse(response, 403, 'GatedRepo', MESSAGES[grant as 'none'](repo!))
    if (kind === 'xet-read-token') {
      return json(response, {
        accessToken: 'xet-token',
        casUrl: this.#cdnAddress,
        exp: Math.floor(Date.now() / 1000) + 3600,
      })
    }
    const wanted = files.get(path!)
    if (!wanted) {
      response.setHeader('x-repo-commit', id!)
      return refuse(response, 404, 'EntryNotFound', 'Entry not found')
    }
    return this.#serveFile(
      seen,
      request,
      response,
      { repo: repo!, commit: id!, path: path!, file: wanted },
      kind,
      fault,
    )
  }

  async #serveFile(
    seen: HubRequest,
    request: IncomingMessage,
    response: ServerResponse,
    { repo, commit, path, file }: { repo: string; commit: string; path: string; file: HubFile },
    kind: string,
    fault: Fault | undefined,
  ): Promise<void> {
    const common = { 'x-repo-commit': commit }
    const etag = `"${etagOf(file)}"`
    if (kind === 'resolve-cache') return sendContent(request, response, file.content, { ...common, etag }, fault)
    const linked = { ...common, 'x-linked-etag': etag, 'x-linked-size': String(file.content.length) }
    if (!file.lfs) {
      // Small files are served by the hub itself, after a redirect without a host.
      response
        .writeHead(307, { ...linked, etag, location: `/api/models/${repo}/resolve-cache/${commit}/${encodeURI(path)}` })
        .end()
    } else if (file.xet && request.headers.accept?.includes('xet-fileinfo')) {
      const hash = xetHash(file.content)
      const links = [
        `<${this.endpoint}/api/models/${repo}/xet-read-token/${commit}>; rel="xet-auth"`,
        `<${this.#cdnAddress}/v1/reconstructions/${hash}>; rel="xet-reconstruction-info"`,
      ]
      response
        .writeHead(200, {
          ...linked,
          etag,
          'content-type': 'application/vnd.xet-fileinfo+json',
          'x-xet-hash': hash,
          link: links.join(', '),
        })
        .end('{}')
    } else {
      response
        .writeHead(302, { ...linked, location: `${this.#cdnAddress}/${sha256(file.content)}?signature=valid` })
        .end()
    }
    seen.status = response.statusCode
  }

  async #serveCdn(
    seen: HubRequest,
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    fault: Fault | undefined,
  ): Promise<void> {
    const all = [...this.repositories.values()].flatMap(({ commits }) =>
      [...commits.values()].flatMap((files) => [...files.values()]),
    )
    const [, kind, name] = /^\/(v2\/reconstructions\/|xorbs\/)?([0-9a-f]{64})$/.exec(seen.path) ?? []
    const file = all.find(({ content }) => (kind ? xetHash(content) : sha256(content)) === name)
    if (!file) return refuse(response, 404, '', 'no such object')
    if (kind === 'v2/reconstructions/') {
      if (seen.authorization !== 'Bearer xet-token') return refuse(response, 401, '', 'no Xet token')
      return json(
        response,
        reconstruction(file.content, seen.from, `${this.#cdnAddress}/xorbs/${name}?signature=valid`),
      )
    }
    // As real object stores do with a signed address and a second way to log in.
    if (seen.authorization || url.searchParams.get('signature') !== 'valid')
      return refuse(response, 400, '', 'Only one auth mechanism allowed')
    await sendContent(
      request,
      response,
      kind ? xorbOf(file.content).bytes : file.content,
      { etag: '"of-the-object-store"' },
      fault,
    )
  }
}

function listen(server: Server, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  })
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  const headers = {
    'x-error-message': message,
    ...(code ? { 'x-error-code': code } : {}),
    'content-type': 'application/json',
  }
  response.writeHead(status, headers).end(JSON.stringify({ error: message }))
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

function modelInfo(repo: string, sha: string, files: Map<string, HubFile>, gated: boolean): object {
  const siblings = [...files].map(([rfilename, file]) => ({
    rfilename,
    size: file.content.length,
    blobId: gitBlobId(file.content),
  }))
  return {
    _id: '1',
    id: repo,
    modelId: repo,
    sha,
    siblings,
    private: false,
    gated: gated && 'manual',
    downloads: 0,
    likes: 0,
    tags: [],
    lastModified: '2026-01-01T00:00:00.000Z',
  }
}

function tree(files: Map<string, HubFile>): object[] {
  return [...files].map(([path, { content, lfs, xet }]) => ({
    type: 'file',
    oid: gitBlobId(content),
    size: content.length,
    path,
    ...(lfs ? { lfs: { oid: sha256(content), size: content.length, pointerSize: 130 } } : {}),
    ...(xet ? { xetHash: xetHash(content) } : {}),
  }))
}
