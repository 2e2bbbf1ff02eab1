/** Several processes and threads that start together, and processes that are killed. */
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import type { PullProgress } from '../../../lib/download/types.js'
import * as hashes from '../../support/hub-server/repository.js'
import {
  bundle,
  filesBelow,
  outcomeOf,
  REPO,
  sandbox,
  sizeOf,
  startPull,
  wrongBlobs,
} from '../../support/hub-server/sandbox.js'
import { seededRandom } from '../../support/random.js'

const box = sandbox()
const { server } = box

const SIZE = 4_000_000
const slow = { bytes: 100_000, pause: 4 }

/** The bytes of the weights in the partial file, 0 where there is none. */
function keptBytes(): number {
  const etag = hashes.etagOf(weights())
  const name = filesBelow(box.repoFolder).find((one) => one.includes(etag) && one.endsWith('.incomplete'))
  return name ? sizeOf(`${box.repoFolder}/${name}`) : 0
}

function weights(): hashes.HubFile {
  const [files] = server.repositories.get(REPO)!.commits.values()
  return files!.get('model.safetensors')!
}

function expectWhole(folder: string | undefined): void {
  expect(readFileSync(`${folder}/model.safetensors`).equals(weights().content)).toBe(true)
  expect(wrongBlobs(box.repoFolder, hashes)).toEqual([])
  expect(filesBelow(box.repoFolder).filter((name) => /incomplete|tmp/.test(name))).toEqual([])
}

it('loses nothing to kill -9 at 20 random points', async () => {
  const random = seededRandom(20)
  for (let round = 0; round < 4; round++) {
    box.fresh(SIZE)
    for (let kill = 0; kill < 5; kill++) {
      const before = keptBytes()
      // Four of five in the middle of the weights, the fifth anywhere from the start of the process.
      const bytes = Math.floor(random() * (SIZE - before))
      let child: ChildProcess | undefined
      let seen = before
      const end = () => {
        seen = keptBytes()
        child?.kill('SIGKILL')
      }
      server.requests.length = 0
      server.faults = [
        ({ host }) =>
          host === 'cdn' ? { trickle: slow, at: { bytes: kill < 4 ? bytes : 2 * SIZE, call: end } } : undefined,
      ]
      child = await startPull(box.processEnv())
      if (kill === 4) setTimeout(end, 100 + random() * 400)
      const outcome = await outcomeOf(child)
      expect(wrongBlobs(box.repoFolder, hashes)).toEqual([])
      if (outcome) expectWhole(outcome.folder)
      // What was there is not asked for again, and what came is kept.
      const again = server.requests.find(({ host }) => host === 'cdn')
      if (again) expect(again.from).toBe(before)
      expect(outcome ? SIZE : keptBytes()).toBeGreaterThanOrEqual(seen)
    }
    server.faults = []
    server.requests.length = 0
    const start = performance.now()
    const kept = keptBytes()
    expectWhole(await resolveRepository(REPO, {}, box.env()))
    if (kept > 0) expect(server.requests.find(({ host }) => host === 'cdn')?.from ?? kept).toBe(kept)
    // The lock of a dead process is taken over at once.
    expect(performance.now() - start).toBeLessThan(10_000)
  }
})

it.each([2, 3, 5, 8])('%i processes that start together download once', async (count) => {
  box.fresh(SIZE)
  server.faults = [({ host }) => (host === 'cdn' ? { trickle: slow } : undefined)]
  const children = await Promise.all(Array.from({ length: count }, () => startPull(box.processEnv())))
  const outcomes = await Promise.all(children.map(outcomeOf))
  expect(outcomes).toEqual(outcomes.map(() => ({ folder: expect.stringContaining(box.repoFolder) })))
  expectWhole(outcomes[0]?.folder)
  expect(server.contentRequests().map(({ path, from }) => `${path.slice(-30)} ${from}`)).toHaveLength(4)
})

it('those that wait see how far the other is, and take over when it is killed', async () => {
  box.fresh(SIZE)
  server.faults = [({ host }) => (host === 'cdn' ? { trickle: { bytes: 50_000, pause: 25 } } : undefined)]
  const owner = await startPull(box.processEnv())
  const ended = outcomeOf(owner)
  while (keptBytes() < 500_000) await sleep(10)
  const events: PullProgress[] = []
  const onProgress = (event: PullProgress) => {
    if (event.file !== 'model.safetensors') return
    events.push(event)
    if (event.state === 'waiting' && event.bytes > 1_500_000) owner.kill('SIGKILL')
  }
  const folders = await Promise.all([1, 2, 3].map(() => resolveRepository(REPO, { onProgress }, box.env())))
  await ended
  for (const folder of folders) expectWhole(folder)
  const waiting = events.filter(({ state }) => state === 'waiting')
  expect(waiting.length).toBeGreaterThan(2)
  expect(Math.max(...waiting.map(({ bytes }) => bytes))).toBeGreaterThan(Math.min(...waiting.map(({ bytes }) => bytes)))
  const requests = server.requests.filter(({ host }) => host === 'cdn')
  expect(requests).toHaveLength(2)
  expect(requests[1]!.from).toBeGreaterThan(1_000_000)
})

it('threads of one process download once, and so do calls of one thread', async () => {
  box.fresh(SIZE)
  server.faults = [({ host }) => (host === 'cdn' ? { trickle: slow } : undefined)]
  const module = await bundle('lib/hub/resolve.ts')
  const code = `const { parentPort } = require('node:worker_threads')
    import(${JSON.stringify(module)}).then(({ resolveRepository }) => resolveRepository('${REPO}')).then(
      (folder) => parentPort.postMessage(folder))`
  const inWorker = () =>
    new Promise<string>((resolve, reject) => {
      const worker = new Worker(code, { eval: true, env: box.processEnv() })
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  const folders = await Promise.all([
    inWorker(),
    inWorker(),
    inWorker(),
    ...[1, 2].map(() => resolveRepository(REPO, {}, box.env())),
  ])
  for (const folder of folders) expectWhole(folder)
  expect(server.contentRequests().map(({ path, from }) => `${path.slice(-30)} ${from}`)).toHaveLength(4)
})
