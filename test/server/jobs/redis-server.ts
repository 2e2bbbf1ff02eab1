/** A Redis of the test's own, on a free port of loopback, that keeps everything on its disk (AOF) as the docs ask for. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Redis } from 'ioredis'
import { repositoryRoot } from '../../support/paths.js'

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

export class RedisServer {
  readonly url: string
  readonly #port: number
  readonly #folder: string
  #process: ChildProcess | undefined

  private constructor(port: number, folder: string) {
    this.#port = port
    this.#folder = folder
    this.url = `redis://127.0.0.1:${port}`
  }

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), mkdtempSync(path.join(tmpdir(), 'sam3-redis-')))
    await server.start()
    return server
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const options = {
      port: this.#port,
      bind: '127.0.0.1',
      dir: this.#folder,
      appendonly: 'yes',
      appendfsync: 'always',
      'maxmemory-policy': 'noeviction',
      save: '',
    }
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
    // Set-up unpacks it where nothing can be installed.
    const PATH = `${process.env.PATH}${path.delimiter}${path.join(repositoryRoot, 'build/bin')}`
    this.#process = spawn('redis-server', args, { stdio: 'ignore', env: { ...process.env, PATH } })
    const failed = once(this.#process, 'error').then(([error]) => {
      throw error
    })
    await Promise.race([this.#answers(), failed])
  }

  /** Ends it as a power cut does. */
  async kill(): Promise<void> {
    const ended = once(this.#process!, 'exit')
    this.#process!.kill('SIGKILL')
    await ended
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #answers(): Promise<void> {
    const client = new Redis(this.url, { maxRetriesPerRequest: null, retryStrategy: () => 50 })
    client.on('error', () => {}) // until it listens
    await client.ping()
    client.disconnect()
  }
}
