/** A signal stops a download at once, whatever it is doing at that moment. */
import { expect, it } from 'vitest'
import { takeLock } from '../../../lib/download/lock.js'
import { RepositoryLayout } from '../../../lib/hub/layout.js'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import type { PullProgress } from '../../../lib/index.js'
import type { Fault } from '../../support/hub-server/faults.js'
import { deferred } from '../../support/deferred.js'
import * as hashes from '../../support/hub-server/repository.js'
import { REPO, sandbox } from '../../support/hub-server/sandbox.js'
import { rejection } from '../../support/model.js'

const box = sandbox()
const { server } = box

/** Arranges a download that does not end, and gives what ends it after the test. */
type Situation = () => Promise<(() => Promise<void>) | void>

const faulty =
  (fault: Fault): Situation =>
  async () => {
    server.faults = [({ host }) => (host === 'cdn' ? fault : undefined)]
  }

it.each<[string, PullProgress['state'], Situation]>([
  ['a body that hangs', 'downloading', faulty({ hangAfter: 1_500_000 })],
  ['a pause that Retry-After asks for', 'retrying', faulty({ status: 503, headers: { 'retry-after': '60' } })],
  ['a pause before the next try', 'retrying', faulty({ breakAfter: 0 })],
  [
    'a lock that another holds',
    'waiting',
    async () => {
      const [files] = server.repositories.get(REPO)!.commits.values()
      const etag = hashes.etagOf(files!.get('model.safetensors')!)
      const lock = await takeLock(new RepositoryLayout(box.cache, REPO).lock(etag))
      return lock.release
    },
  ],
])('during %s', async (_name, expected, arrange) => {
  box.fresh(2_000_000)
  const release = await arrange()
  const abort = new AbortController()
  const reached = deferred<void>()
  const onProgress = ({ file, state, bytes }: PullProgress) => {
    if (file === 'model.safetensors' && state === expected && (state !== 'downloading' || bytes > 0)) reached.resolve()
  }
  // The pause grows from a minute: what does not stop at once does not stop within the test.
  const patience = { retry: { pause: 60_000 } }
  const pull = rejection(resolveRepository(REPO, { signal: abort.signal, onProgress }, box.env(), patience))
  await reached.promise
  abort.abort()
  expect(await pull).toMatchObject({ code: 'ABORT_ERR', name: 'AbortError' })
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
