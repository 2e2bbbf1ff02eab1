/** A signal stops a download at once, whatever it is doing at that moment. */
import { expect, it } from 'vitest'
import { takeLock } from '../../../lib/download/lock.js'
import { RepositoryLayout } from '../../../lib/hub/layout.js'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import type { FaultRule } from '../../support/hub-server/faults.js'
import * as hashes from '../../support/hub-server/repository.js'
import { REPO, sandbox } from '../../support/hub-server/sandbox.js'
import { rejection } from '../../support/model.js'

const box = sandbox()
const { server } = box

/** Arranges a download that does not end, and gives what ends it after the test. */
type Situation = () => Promise<(() => Promise<void>) | void>

const faulty =
  (rule: FaultRule): Situation =>
  async () => {
    server.faults = [rule]
  }

it.each<[string, Situation]>([
  ['a body that hangs', faulty(({ host }) => (host === 'cdn' ? { hangAfter: 1000 } : undefined))],
  ['a pause that Retry-After asks for', faulty(() => ({ status: 503, headers: { 'retry-after': '60' } }))],
  ['a pause before the next try', faulty(({ host }) => (host === 'cdn' ? { breakAfter: 0 } : undefined))],
  [
    'a lock that another holds',
    async () => {
      const [files] = server.repositories.get(REPO)!.commits.values()
      const etag = hashes.etagOf(files!.get('model.safetensors')!)
      const lock = await takeLock(new RepositoryLayout(box.cache, REPO).lock(etag))
      return lock.release
    },
  ],
])('during %s', async (_name, arrange) => {
  box.fresh(2_000_000)
  const release = await arrange()
  const abort = new AbortController()
  const pull = rejection(resolveRepository(REPO, { signal: abort.signal }, box.env()))
  await new Promise((resolve) => setTimeout(resolve, 300))
  const start = performance.now()
  abort.abort()
  expect(await pull).toMatchObject({ code: 'ABORT_ERR', name: 'AbortError' })
  expect(performance.now() - start).toBeLessThan(500)
  await release?.()
})

it('an error of onProgress ends the download, as it is', async () => {
  box.fresh(2_000_000)
  const mine = new TypeError('mine')
  const onProgress = () => {
    throw mine
  }
  expect(await rejection(resolveRepository(REPO, { onProgress }, box.env()))).toBe(mine)
  expect(await resolveRepository(REPO, {}, box.env())).toContain('snapshots')
})
