/**
 * The service against what schemathesis makes of its OpenAPI document: no request ends in a 500, and the service stays
 * as it was. A short form here; 10,000 requests with `npm run test:fuzz`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServeOptions, type StartedServer, startServer } from '../../../server/index.js'
import { repositoryRoot } from '../../support/paths.js'
import { pythonWith } from '../../support/python.js'
import { without } from '../../support/without.js'
import { form, picture } from '../support.js'

const folder = path.join(repositoryRoot, 'test/server/fuzz')
const LONG = process.env.SAM3_LONG_FUZZ === '1'
const REQUESTS = 10_000

describe.skipIf(without('python'))('schemathesis', () => {
  const python = pythonWith('schemathesis', 'PIL')
  const scratch = mkdtempSync(path.join(tmpdir(), 'sam3-fuzz-'))
  let server: StartedServer
  beforeAll(async () => {
    const limits = {
      maxImages: 4,
      maxPrompts: 8,
      timeoutMs: 20_000,
      urlHosts: ['images.invalid'],
      dialects: ['samgeo', 'roboflow'] satisfies ServeOptions['dialects'],
    }
    const options: ServeOptions = { model: 'demo', device: 'cpu', threads: 1, port: 0, jobRoots: [scratch], ...limits }
    server = await startServer(options, { logger: false })
    await server.ready
  })
  afterAll(async () => {
    await server.close()
    rmSync(scratch, { recursive: true, force: true })
  })

  /** Runs it once. @returns what it printed where a check failed */
  async function fuzz(seed: number, ...args: string[]): Promise<string> {
    const options = [
      '--config-file',
      path.join(folder, 'schemathesis.toml'),
      '--no-color',
      'run',
      `${server.address}/openapi.json`,
    ]
    const how = ['--seed', String(seed), '--request-timeout', '60', '--suppress-health-check', 'all', ...args]
    const child = spawn(python, ['-m', 'schemathesis.cli', ...options, ...how], {
      cwd: scratch, // it leaves a cache
      env: { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const [out, error, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
    return code === 0 ? '' : `${out}\n${error}`
  }

  /** How many requests were answered, by their status. */
  async function answered(): Promise<Map<string, number>> {
    const { body } = await server.app.inject({ url: '/metrics' })
    const counts = new Map<string, number>()
    for (const [, status, count] of body.matchAll(/^sam3_requests_total\{.*status="(\d+)".*\} (\d+)$/gm))
      counts.set(status!, (counts.get(status!) ?? 0) + Number(count))
    return counts
  }
  const sum = (counts: Map<string, number>) => [...counts.values()].reduce((total, count) => total + count, 0)

  it(
    'finds nothing that ends in a 500',
    async () => {
      const failures: string[] = []
      if (LONG) for (let seed = 1; sum(await answered()) < REQUESTS; seed++) failures.push(await fuzz(seed, '-n', '60'))
      else failures.push(await fuzz(1, '-n', '25', '--phases', 'fuzzing,stateful'))
      expect(failures.filter(Boolean).join('\n')).toBe('')
      const counts = await answered()
      console.log(`${sum(counts)} requests: ${[...counts].map(([status, count]) => `${count} x ${status}`).join(', ')}`)
      expect(counts.get('500')).toBeUndefined()
      // Some of the requests got as far as the model.
      expect(counts.get('200')).toBeGreaterThan(0)
      expect(counts.get('201')).toBeGreaterThan(0)
      const ask = { method: 'POST', url: '/v1/segment', ...form(['text', 'cup'], ['image', picture]) } as const
      expect((await server.app.inject(ask)).statusCode).toBe(200)
      expect((await server.app.inject({ url: '/readyz' })).json()).toMatchObject({ status: 'ready' })
    },
    LONG ? 3_600_000 : 300_000,
  )
})
