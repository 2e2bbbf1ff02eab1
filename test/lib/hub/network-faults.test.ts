/** Servers that fail: nothing that arrived is lost, and nothing wrong becomes visible. */
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { hostFetch, parseRetryAfter } from '../../../lib/download/fetch.js'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import type { RetryPolicy } from '../../../lib/download/retry.js'
import type { PullProgress } from '../../../lib/download/types.js'
import type { Fault } from '../../support/hub-server/faults.js'
import * as hashes from '../../support/hub-server/repository.js'
import { filesBelow, REPO, sandbox, wrongBlobs } from '../../support/hub-server/sandbox.js'
import { rejection } from '../../support/model.js'
import { seededRandom } from '../../support/random.js'

const box = sandbox()
const { server } = box

const retry: Partial<RetryPolicy> = { pause: 5 }
const SIZE = 1_000_000

/** A fault for the first `times` answers of the other host. */
function onCdn(times: number, fault: Fault | (() => Fault)): void {
  let left = times
  server.faults = [
    ({ host }) => (host === 'cdn' && left-- > 0 ? (typeof fault === 'function' ? fault() : fault) : undefined),
  ]
}

async function expectComplete(pull: Promise<string>): Promise<void> {
  const folder = await pull
  const [files] = server.repositories.get(REPO)!.commits.values()
  expect(readFileSync(`${folder}/model.safetensors`).equals(files!.get('model.safetensors')!.content)).toBe(true)
  expect(wrongBlobs(box.repoFolder, hashes)).toEqual([])
  expect(filesBelow(box.repoFolder).filter((name) => /incomplete|tmp/.test(name))).toEqual([])
}

const random = seededRandom(3)
it.each<[string, number, Fault | (() => Fault)]>([
  ['connections that break at eight random places', 8, () => ({ breakAfter: Math.floor(random() * 400_000) })],
  ['a connection that breaks at once', 3, { breakAfter: 0 }],
  ['a body that ends too early without saying so', 2, { endAfter: 300_000 }],
  ['a wrong byte in the body', 1, { corrupt: true }],
  ['503 four times', 4, { status: 503 }],
  ['500', 1, { status: 500 }],
  [
    'a server that ignores ranges after a break',
    2,
    (() => {
      let calls = 0
      return () => (calls++ === 0 ? { breakAfter: 500_000 } : { ignoreRange: true })
    })(),
  ],
  ['a slow trickle', 1, { trickle: { bytes: 40_000, pause: 5 } }],
])('gets through %s', async (_name, times, fault) => {
  box.fresh(SIZE)
  onCdn(times, fault)
  await expectComplete(resolveRepository(REPO, {}, box.env(), { retry }))
})

it('continues where a connection broke instead of starting again', async () => {
  box.fresh(SIZE)
  onCdn(1, { breakAfter: 600_000 })
  await resolveRepository(REPO, {}, box.env(), { retry })
  const [first, second] = server.requests.filter(({ host }) => host === 'cdn').map(({ from }) => from)
  expect(first).toBe(0)
  expect(second).toBeGreaterThan(0)
  expect(second).toBeLessThanOrEqual(600_000)
})

it('gives up on a connection that hangs, and continues on another', async () => {
  box.fresh(SIZE)
  onCdn(1, { hangAfter: 500_000 })
  const events: PullProgress[] = []
  const pull = resolveRepository(REPO, { onProgress: (event) => events.push(event) }, box.env(), {
    retry,
    stallTimeout: 300,
  })
  await expectComplete(pull)
  expect(events.some(({ state }) => state === 'retrying')).toBe(true)
})

it('obeys Retry-After, as seconds and as a date', async () => {
  box.fresh()
  let refused = 0
  server.faults = [
    ({ path }) =>
      path.includes('/revision/') && refused++ === 0 ? { status: 429, headers: { 'retry-after': '1' } } : undefined,
  ]
  const start = performance.now()
  await resolveRepository(REPO, {}, box.env(), { retry })
  expect(performance.now() - start).toBeGreaterThan(990)
  expect(parseRetryAfter('Wed, 21 Oct 2026 07:28:10 GMT', Date.parse('2026-10-21T07:28:00Z'))).toBe(10_000)
  expect(parseRetryAfter('-3')).toBe(0)
  expect(parseRetryAfter('soon')).toBeUndefined()

  // One that asks for longer than a person would wait is told to that person instead.
  box.fresh()
  server.faults = [() => ({ status: 429, headers: { 'retry-after': '7200' } })]
  const error = await rejection(resolveRepository(REPO, {}, box.env(), { retry }))
  expect(error).toMatchObject({ code: 'ERR_HUB_RESPONSE', message: expect.stringContaining('7200 s') })
  expect(server.requests).toHaveLength(1)
})

it('gives up after six tries without progress, and says what is kept', async () => {
  box.fresh()
  server.faults = [() => ({ status: 502 })]
  const error = await rejection(resolveRepository(REPO, {}, box.env(), { retry }))
  expect(error).toMatchObject({ code: 'ERR_HUB_RESPONSE', message: expect.stringMatching(/502.*Try again later/s) })
  expect(server.requests).toHaveLength(6)
})

it('never makes a file visible whose hash is wrong', async () => {
  box.fresh()
  server.faults = [({ host }) => (host === 'cdn' ? { corrupt: true } : undefined)]
  const error = await rejection(resolveRepository(REPO, {}, box.env(), { retry }))
  expect(error).toMatchObject({ code: 'ERR_DOWNLOAD_CORRUPT', message: expect.stringContaining('model.safetensors') })
  expect(wrongBlobs(box.repoFolder, hashes)).toEqual([])
  expect(existsSync(`${box.repoFolder}/refs/main`)).toBe(false)
  expect(filesBelow(box.repoFolder).some((name) => name.endsWith('model.safetensors'))).toBe(false)

  // A small file that is wrong is refused by its git id.
  box.fresh()
  server.faults = [
    ({ path }) => (path.includes('resolve-cache') && path.endsWith('config.json') ? { corrupt: true } : undefined),
  ]
  expect(await rejection(resolveRepository(REPO, {}, box.env(), { retry }))).toMatchObject({
    code: 'ERR_DOWNLOAD_CORRUPT',
  })
})

it('survives the death of the server in the middle, and continues when it is back', async () => {
  box.fresh(3_000_000)
  server.faults = [({ host }) => (host === 'cdn' ? { trickle: { bytes: 50_000, pause: 5 } } : undefined)]
  const port = Number(new URL(server.endpoint).port)
  let stopped: Promise<unknown> | undefined
  const onProgress = ({ file, bytes }: PullProgress) => {
    if (file === 'model.safetensors' && bytes > 1_000_000) stopped ??= server.stop()
  }
  const error = await rejection(
    resolveRepository(REPO, { onProgress }, box.env(), { retry: { pause: 1, attempts: 3 } }),
  )
  expect(error).toMatchObject({ code: 'ERR_HUB_UNREACHABLE', message: expect.stringContaining('is kept') })
  await stopped
  await server.start(port)
  server.faults = []
  server.requests.length = 0
  await expectComplete(resolveRepository(REPO, {}, box.env(), { retry }))
  expect(server.requests.find(({ host }) => host === 'cdn')!.from).toBeGreaterThan(1_000_000)

  // And when it is back before the client gives up.
  box.fresh(2_000_000)
  onCdn(1, { trickle: { bytes: 50_000, pause: 5 } })
  let restarted: Promise<unknown> | undefined
  const restart = async () => {
    await server.stop()
    await sleep(50)
    await server.start(port)
  }
  const onMore = ({ file, bytes }: PullProgress) => {
    if (file === 'model.safetensors' && bytes > 500_000) restarted ??= restart()
  }
  const pull = resolveRepository(REPO, { onProgress: onMore }, box.env(), { retry: { pause: 60 } })
  await expectComplete(pull)
  await restarted
})

it('takes the new content of a file that changed between two runs', async () => {
  const repository = box.fresh(SIZE)
  server.faults = [({ host }) => (host === 'cdn' ? { breakAfter: 400_000 } : undefined)]
  await rejection(resolveRepository(REPO, {}, box.env(), { retry: { attempts: 1 } }))
  const changed = hashes.modelFiles(SIZE, 99)
  const commit = hashes.commit(repository, changed)
  server.faults = []
  const folder = await resolveRepository(REPO, {}, box.env(), { retry })
  expect(folder).toContain(commit)
  expect(readFileSync(`${folder}/model.safetensors`).equals(changed['model.safetensors']!.content)).toBe(true)
  expect(wrongBlobs(box.repoFolder, hashes)).toEqual([])
})

it('ends a request to a server that does not answer, and a circle of redirects', async () => {
  box.fresh()
  const fetch = hostFetch({ endpoint: server.endpoint, token: undefined, answerTimeout: 200 })
  server.faults = [({ path }) => ({ status: 302, headers: { location: path } })]
  await expect(fetch(`${server.endpoint}/a`)).rejects.toThrow('circle')
  const { createServer } = await import('node:net')
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await new Promise((resolve) => silent.once('listening', resolve))
  const { port } = silent.address() as { port: number }
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow('did not answer')
  silent.close()
})
