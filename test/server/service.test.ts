/** The service as others meet it: over a socket, beside other clients, and when it starts and ends. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { invite } from '../../server/cli/serve.js'
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
    expect([loading.status, await loading.json()]).toEqual([503, { status: 'loading', devices: [] }])
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

  it('says what to do where it cannot listen, and leaves nothing behind', async () => {
    const options = { model: 'demo', device: here.device as 'cpu', warmup: false }
    const first = await startServer({ ...options, port: 0 }, { logger: false })
    open.push(first)
    const port = Number(new URL(first.address).port)
    await expect(startServer({ ...options, port }, { logger: false })).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
      message: expect.stringMatching(new RegExp(`at 127.0.0.1:${port}: .*--port ${port + 1}`)),
    })
    const elsewhere = startServer({ ...options, host: '192.0.2.1', port: 0 }, { logger: false })
    await expect(elsewhere).rejects.toMatchObject({ fix: expect.stringContaining('0.0.0.0') })
    const unknown = startServer({ ...options, host: 'no-such-host.invalid', port: 0 }, { logger: false })
    await expect(unknown).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
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
    expect(made.model.stats().calls - before.calls).toBe(4)
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

describe('a client that sends too much', () => {
  it('is refused by its token, others are not', async () => {
    const { server } = await service({ tokens: ['one', 'two'], rateLimit: 3 })
    const get = (token: string) =>
      server.app.inject({ url: '/openapi.json', headers: { authorization: `Bearer ${token}` } })
    for (let time = 0; time < 3; time++) expect((await get('one')).statusCode).toBe(200)
    const refused = await get('one')
    expect(refused.json()).toMatchObject({ status: 429, code: 'ERR_RATE_LIMITED' })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect((await get('two')).statusCode).toBe(200)
    expect((await server.app.inject({ url: '/livez' })).statusCode).toBe(200)
  })

  it('does not get round it with headers that nobody checks', async () => {
    const { server } = await service({ rateLimit: 1 })
    const get = (headers: Record<string, string>) => server.app.inject({ url: '/openapi.json', headers })
    expect((await get({})).statusCode).toBe(200)
    expect((await get({ authorization: 'Bearer other' })).statusCode).toBe(429)
    expect((await get({ 'x-forwarded-for': '1.2.3.4' })).statusCode).toBe(429)
  })
})

describe('the end', () => {
  it('lets running requests end, refuses others, and stops what takes too long', async () => {
    const { server } = await service({ shutdownTimeoutMs: 50, maxBatchSize: 1 })
    const running = server.app.inject({ ...ask, ...form(['text', 'cup'], ...Array(12).fill(['image', picture])) })
    await vi.waitFor(async () => {
      const { body } = await server.app.inject({ url: '/metrics' })
      expect(body).toMatch(/^sam3_stage_duration_seconds_count\{stage="engine"\} [1-9]/m)
    }, PATIENCE)
    const closed = server.close()
    expect((await server.app.inject({ url: '/readyz' })).json()).toMatchObject({ status: 'draining' })
    expect((await server.app.inject(ask)).json()).toMatchObject({ status: 503, code: 'ERR_NOT_READY' })
    expect((await running).json()).toMatchObject({ status: 503, code: 'ERR_NOT_READY' })
    await closed
  })
})

describe('sam3-node serve', () => {
  it('says where to go at a terminal, and nowhere else', () => {
    const said: string[] = []
    const at = (isTTY: boolean, page: boolean) => {
      invite({ isTTY, write: (text: unknown) => said.push(String(text)) > 0 }, 'http://127.0.0.1:8080', { page })
      return said.splice(0).join('')
    }
    expect(at(true, true)).toContain('http://127.0.0.1:8080/\n')
    expect(at(true, false)).toContain('http://127.0.0.1:8080/docs\n')
    expect(at(true, false)).not.toContain('page')
    expect(at(false, true)).toBe('')
  })

  const cli = `${repositoryRoot}/dist/cli.js`

  /** A process that serves, ready and at work on a request of so many images. */
  async function atWork(images: number) {
    const args = ['serve', '--model', 'demo', '--device', 'cpu', '--port', '0']
    const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exit = once(child, 'exit')
    let address = ''
    const said = new Set<string>()
    createInterface(child.stdout).on('line', (line) => {
      const { msg, ...entry } = JSON.parse(line) as { msg: string; address?: string }
      said.add(msg)
      address ||= entry.address ?? ''
    })
    const says = (msg: string) => vi.waitFor(() => expect(said).toContain(msg), PATIENCE)
    await says('ready')
    const body = new FormData()
    for (let copy = 0; copy < images; copy++) body.append('image', new Blob([picture]))
    body.append('text', 'cup')
    const asked = fetch(`${address}/v1/segment`, { method: 'POST', body })
    await vi.waitFor(async () => {
      const metrics = await (await fetch(`${address}/metrics`)).text()
      expect(metrics).toMatch(/^sam3_stage_duration_seconds_count\{stage="engine"\} [1-9]/m)
    }, PATIENCE)
    return { child, exit, asked, says }
  }

  it('ends with 0 at SIGTERM, after the work that runs', async () => {
    const { child, exit, asked } = await atWork(8)
    child.kill('SIGTERM')
    expect((await asked).status).toBe(200)
    expect(await exit).toEqual([0, null])
  })

  it('ends at once at the second signal', async () => {
    const { child, exit, asked, says } = await atWork(32)
    asked.catch(() => {}) // nobody answers it
    child.kill('SIGTERM')
    await says('shutting down')
    child.kill('SIGINT')
    expect(await exit).toEqual([1, null])
    await expect(asked).rejects.toThrow()
  })
})
