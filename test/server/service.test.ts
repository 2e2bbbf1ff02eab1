/** The service as others meet it: over a socket, beside other clients, and when it starts and ends. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { startServer } from '../../server/index.js'
import { repositoryRoot } from '../support/paths.js'
import { here } from '../support/where.js'
import { demoService, form, picture, type TestService } from './support.js'

const open: { close(): Promise<void> }[] = []
const PATIENCE = { timeout: 30_000 }

afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})

async function service(options: Parameters<typeof demoService>[0] = {}): Promise<TestService> {
  const made = await demoService(options)
  open.push(made.server)
  return made
}

const ask = { method: 'POST', url: '/v1/segment', ...form(['text', 'cup'], ['image', picture]) } as const

/** The value of one series, as Prometheus reads it. */
async function metric({ server }: Pick<TestService, 'server'>, series: string): Promise<number> {
  const { body } = await server.app.inject({ url: '/metrics' })
  const line = body.split('\n').find((one) => one.startsWith(`${series} `))
  return Number(line?.slice(series.length))
}

describe('over a socket', () => {
  it('listens at once, is ready when the model is there, and answers', async () => {
    const server = await startServer({ model: 'demo', device: here.device as 'cpu', port: 0 }, { logger: false })
    open.push(server)
    expect(server.address).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const get = (path: string) => fetch(server.address + path)
    expect((await get('/livez')).status).toBe(200)
    const loading = await get('/readyz')
    expect([loading.status, await loading.json()]).toEqual([503, { status: 'loading' }])
    const early = await fetch(`${server.address}/v1/segment`, { method: 'POST', body: new FormData() })
    expect([early.status, await early.json()]).toEqual([503, expect.objectContaining({ code: 'ERR_NOT_READY' })])
    await server.ready
    expect((await get('/readyz')).status).toBe(200)
    const body = new FormData()
    body.append('image', new Blob([picture]))
    body.append('text', 'cup')
    const answer = await fetch(`${server.address}/v1/segment`, { method: 'POST', body })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-request-id')).toMatch(/^[\w-]{36}$/)
  })

  it('stops the work for a client that leaves', async () => {
    const made = await service()
    const address = await made.server.app.listen({ port: 0, host: '127.0.0.1' })
    const leave = new AbortController()
    const body = new FormData()
    body.append('text', 'cup')
    for (let copy = 0; copy < 16; copy++) body.append('image', new Blob([picture]))
    const asked = fetch(`${address}/v1/segment`, { method: 'POST', body, signal: leave.signal })
    await vi.waitFor(
      async () => expect(await metric(made, 'sam3_stage_duration_seconds_count{stage="engine"}')).toBeGreaterThan(0),
      PATIENCE,
    )
    leave.abort()
    await expect(asked).rejects.toThrow()
    await vi.waitFor(
      async () => expect(await metric(made, 'sam3_requests_rejected_total{reason="cancelled"}')).toBe(1),
      PATIENCE,
    )
    await vi.waitFor(() => expect(made.model.stats().queued).toBe(0), PATIENCE)
    expect((await made.server.app.inject(ask)).statusCode).toBe(200)
  })
})

describe('too much at once', () => {
  it('refuses what does not fit into the queue, with a time to come back', async () => {
    const made = await service({ maxQueueSize: 1, maxBatchSize: 1 })
    const answers = await Promise.all(Array.from({ length: 12 }, () => made.server.app.inject(ask)))
    const refused = answers.filter(({ statusCode }) => statusCode === 429)
    expect(answers.filter(({ statusCode }) => statusCode === 200)).toHaveLength(12 - refused.length)
    expect(refused.length).toBeGreaterThan(3)
    expect(refused.length).toBeLessThan(12)
    for (const { headers, json } of refused) {
      expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1)
      expect(json()).toMatchObject({ code: 'ERR_QUEUE_FULL' })
    }
    expect(await metric(made, 'sam3_requests_rejected_total{reason="queue_full"}')).toBe(refused.length)
  })

  it('joins the requests of several clients into batches', async () => {
    const made = await service({ maxQueueDelayMs: 2000, maxBatchSize: 4 })
    const before = made.model.stats()
    const answers = await Promise.all(Array.from({ length: 4 }, () => made.server.app.inject(ask)))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200])
    await vi.waitFor(() => expect(made.model.stats().calls - before.calls).toBe(4)) // counted behind the answer
    expect(made.model.stats().batches - before.batches).toBeLessThan(4)
  })
})

describe('tokens', () => {
  it('lets in who has one, and anyone to the probes', async () => {
    const { server, log } = await service({ tokens: ['one-token', 'another'] })
    const status = async (url: string, authorization?: string) =>
      (await server.app.inject({ url, headers: authorization ? { authorization } : {} })).statusCode
    expect(await status('/readyz')).toBe(200)
    expect(await status('/metrics')).toBe(401)
    expect(await status('/metrics', 'Bearer one-token')).toBe(200)
    expect(await status('/metrics', 'Bearer another')).toBe(200)
    expect(await status('/metrics', 'Bearer one-toke')).toBe(401)
    const refused = await server.app.inject(ask)
    expect(refused.json()).toMatchObject({ status: 401, code: 'ERR_UNAUTHORIZED' })
    expect(refused.headers['www-authenticate']).toBe('Bearer')
    expect(JSON.stringify(log)).not.toContain('token"')
    expect(JSON.stringify(log)).not.toContain('one-toke')
  })
})

describe('sam3-node serve', () => {
  const cli = `${repositoryRoot}/dist/cli.js`
  it('ends with 0 at SIGTERM, after the work that runs', async () => {
    const args = ['serve', '--model', 'demo', '--device', 'cpu', '--port', '0']
    const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exit = once(child, 'exit')
    let address = ''
    for await (const line of createInterface(child.stdout)) {
      const { msg, ...entry } = JSON.parse(line) as { msg: string; address?: string }
      address ||= entry.address ?? ''
      if (msg === 'ready') break
    }
    const body = new FormData()
    for (let copy = 0; copy < 8; copy++) body.append('image', new Blob([picture]))
    body.append('text', 'cup')
    const asked = fetch(`${address}/v1/segment`, { method: 'POST', body })
    await vi.waitFor(async () => {
      const metrics = await (await fetch(`${address}/metrics`)).text()
      expect(metrics).toMatch(/^sam3_stage_duration_seconds_count\{stage="engine"\} [1-9]/m)
    }, PATIENCE)
    child.kill('SIGTERM')
    expect((await asked).status).toBe(200)
    expect(await exit).toEqual([0, null])
  })
})
