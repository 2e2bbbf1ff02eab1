/** A Python package index and an archive host on loopback, and archives and wheels that look like LibTorch's. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import yazl from 'yazl'
import { type Fault, sendContent } from './hub-server/faults.js'
import { seededRandom } from './random.js'

export const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex')

/** A zip file. A name that ends with `@` is a symbolic link to its content. */
export async function zip(files: Record<string, Buffer | string>, compress = true): Promise<Buffer> {
  const archive = new yazl.ZipFile()
  for (const [name, content] of Object.entries(files)) {
    const link = name.endsWith('@')
    archive.addBuffer(Buffer.from(content), name.replace(/@$/, ''), { compress, mode: link ? 0o120777 : 0o100644 })
  }
  archive.end()
  return buffer(archive.outputStream)
}

/** Bytes that do not compress. */
export function noise(bytes: number, seed: number): Buffer {
  const random = seededRandom(seed)
  return Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256)))
}

export interface Seen {
  path: string
  from: number
  authorization: string | undefined
}

export class IndexServer {
  /** Files by project; `''` for those that lie beside the index. */
  readonly projects = new Map<string, Map<string, Buffer>>()
  readonly requests: Seen[] = []
  fault: (request: Seen) => Fault | undefined = () => undefined
  /** How pages are written, and whether they offer metadata apart. */
  style: { json: boolean; metadata: boolean; hashes: boolean; sizes?: number } = {
    json: false,
    metadata: false,
    hashes: true,
  }
  address = ''
  #server: Server | undefined

  async start(): Promise<this> {
    this.#server = createServer((request, response) => void this.#answer(request, response))
    await new Promise<void>((resolve) => this.#server!.listen(0, '127.0.0.1', resolve))
    this.address = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    return this
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections()
    await new Promise((resolve) => this.#server?.close(resolve))
  }

  get index(): string {
    return `${this.address}/simple`
  }

  reset(): void {
    this.projects.clear()
    this.requests.length = 0
    this.fault = () => undefined
    this.style = { json: false, metadata: false, hashes: true }
  }

  add(project: string, name: string, content: Buffer): void {
    const files = this.projects.get(project) ?? new Map<string, Buffer>()
    this.projects.set(project, files.set(name, content))
  }

  /** Requests for the content of files. */
  downloads(): Seen[] {
    return this.requests.filter(({ path }) => /\.(?:whl|zip)$/.test(path))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(new URL(request.url!, this.address).pathname)
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const seen = { path, from, authorization: request.headers.authorization }
    // A question about the length is no download.
    const probe = request.headers.range === 'bytes=0-0'
    if (!probe) this.requests.push(seen)
    const fault = probe ? undefined : this.fault(seen)
    if (fault?.status) return void response.writeHead(fault.status, fault.headers).end('fault')
    const [, project, file] = /^\/simple\/([^/]*)\/([^/]*)$/.exec(path) ?? []
    const files = this.projects.get(project ?? '')
    if (!files) return void response.writeHead(404).end()
    if (!file) return this.#page(files, response)
    const content = files.get(file.replace(/\.metadata$/, ''))
    if (!content) return void response.writeHead(404).end()
    if (file.endsWith('.metadata')) return void response.end(metadataOf.get(sha256(content)))
    await sendContent(request, response, content, {}, fault)
  }

  #page(files: Map<string, Buffer>, response: ServerResponse): void {
    const { json, metadata, hashes, sizes } = this.style
    const list = [...files].map(([filename, content]) => ({
      filename,
      content,
      sha: hashes ? sha256(content) : undefined,
    }))
    if (json) {
      const body = list.map(({ filename, content, sha }) => ({
        filename,
        url: encodeURIComponent(filename),
        hashes: sha ? { sha256: sha } : {},
        size: sizes ?? content.length,
        'core-metadata': metadata,
      }))
      response.writeHead(200, { 'content-type': 'application/vnd.pypi.simple.v1+json' })
      return void response.end(JSON.stringify({ meta: { 'api-version': '1.1' }, files: body }))
    }
    const anchors = list.map(
      ({ filename, sha }) =>
        `<a href="${encodeURIComponent(filename)}${sha ? `#sha256=${sha}` : ''}"${metadata ? ' data-core-metadata="true"' : ''}>${filename.replace('+', '&#43;')}</a><br/>`,
    )
    response.writeHead(200, { 'content-type': 'text/html' })
    response.end(`<!DOCTYPE html><html><body>\n${anchors.join('\n')}\n</body></html>`)
  }
}

/** Metadata of the wheels that were made, by their hash. */
const metadataOf = new Map<string, string>()

/** A torch wheel: a library, a header, things that must stay out, and what it needs. */
export async function torchWheel(
  version: string,
  needs: readonly string[],
  library: Buffer,
  more: Record<string, Buffer | string> = {},
): Promise<Buffer> {
  const requires = [...needs, 'sympy>=1.13.3', "setuptools; extra == 'dev'"].map((need) => `Requires-Dist: ${need}\n`)
  const metadata = `Metadata-Version: 2.1\nName: torch\nVersion: ${version}\n${requires.join('')}`
  const info = `torch-${version}.dist-info`
  const wheel = await zip({
    'torch/__init__.py': 'import os\n',
    'torch/version.py': `from typing import Optional\n__version__ = '${version}'\ncuda: Optional[str] = None\n`,
    'torch/lib/libtorch.so': library,
    'torch/lib/libc10.so': 'c10',
    'torch/lib/libtorch_python.so': 'python',
    'torch/lib/libdnnl.a': 'static',
    'torch/include/ATen/ATen.h': '#pragma once\n',
    [`${info}/METADATA`]: metadata,
    [`${info}/licenses/LICENSE`]: 'BSD',
    ...more,
  })
  metadataOf.set(sha256(wheel), metadata)
  return wheel
}

/** A wheel of one of NVIDIA's libraries. */
export function nvidiaWheel(name: string): Promise<Buffer> {
  return zip({
    [`nvidia/${name}/lib/lib${name}.so.12`]: noise(20_000, name.length),
    [`nvidia/${name}/include/${name}.h`]: '',
    [`nvidia_${name}_cu12-12.6.1.dist-info/License.txt`]: 'NVIDIA',
  })
}
