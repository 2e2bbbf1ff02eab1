/** A download from end to end, against a hub on loopback. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import type { PullProgress } from '../../../lib/download/types.js'
import { etagOf } from '../../support/hub-server/repository.js'
import { filesBelow, REPO, sandbox, TOKEN } from '../../support/hub-server/sandbox.js'
import { rejection } from '../../support/model.js'

const box = sandbox()
const { server } = box

it('downloads what is needed into the layout of the Hugging Face cache, and then never asks again', async () => {
  const repository = box.fresh(300_000, true)
  const commit = repository.refs.get('main')!
  const files = repository.commits.get(commit)!
  const folder = await resolveRepository(REPO, {}, box.env())
  expect(folder).toBe(`${box.repoFolder}/snapshots/${commit}`)
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']
  expect(readdirSync(folder).sort()).toEqual(names)
  for (const name of names) {
    const { content } = files.get(name)!
    expect(readFileSync(path.join(folder, name)).equals(content)).toBe(true)
    expect(readlinkSync(path.join(folder, name))).toBe(`../../blobs/${etagOf(files.get(name)!)}`)
  }
  expect(readFileSync(`${box.repoFolder}/refs/main`, 'utf8')).toBe(commit)
  expect(readdirSync(`${box.repoFolder}/blobs`).sort()).toEqual(names.map((name) => etagOf(files.get(name)!)).sort())

  // Two requests for metadata; of each file one, with its redirect.
  expect(
    server.requests.map(({ path }) => path).filter((one) => one.startsWith('/api/models/facebook/sam3/re')),
  ).toContain('/api/models/facebook/sam3/revision/main')
  expect(server.requests).toHaveLength(2 + 2 * names.length)
  // The token goes to the hub, and not to the host that it redirects to.
  for (const { host, authorization } of server.requests)
    expect(authorization).toBe(host === 'hub' ? `Bearer ${TOKEN}` : undefined)

  const before = server.requests.length
  expect(await resolveRepository(REPO, {}, box.env())).toBe(folder)
  expect(await resolveRepository(REPO, { offline: true, revision: commit }, box.env({ HF_TOKEN: '' }))).toBe(folder)
  expect(server.requests).toHaveLength(before)
})

it('downloads branches, tags and commits, and shares what they have in common', async () => {
  const repository = box.fresh()
  const first = repository.refs.get('main')!
  await resolveRepository(REPO, {}, box.env())
  repository.refs.set('refs/pr/1', first)
  repository.refs.set('v1.0', first)
  const before = server.contentRequests().length
  for (const revision of ['v1.0', first]) {
    expect(await resolveRepository(REPO, { revision }, box.env())).toBe(`${box.repoFolder}/snapshots/${first}`)
  }
  expect(server.contentRequests()).toHaveLength(before)
  expect(readFileSync(`${box.repoFolder}/refs/v1.0`, 'utf8')).toBe(first)
  const error = await rejection(resolveRepository(REPO, { revision: 'v9' }, box.env()))
  expect(error).toMatchObject({ code: 'ERR_REVISION_NOT_FOUND', message: expect.stringContaining('v9') })
  for (const revision of ['../x', '/etc', 'a/../../b', 'a b', '']) {
    expect((await rejection(resolveRepository(REPO, { revision }, box.env()))).code).toBe('ERR_INVALID_ARGUMENT')
  }
})

it('takes an index and its shards where there is no single file', async () => {
  const repository = box.fresh()
  const files = repository.commits.get(repository.refs.get('main')!)!
  const shard = files.get('model.safetensors')!
  files.delete('model.safetensors')
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']
  const map = Object.fromEntries(names.map((name, index) => [`tensor${index}`, name]))
  files.set('model.safetensors.index.json', {
    content: Buffer.from(JSON.stringify({ weight_map: map })),
    lfs: false,
    xet: false,
  })
  for (const [index, name] of names.entries()) files.set(name, { ...shard, content: shard.content.subarray(index) })
  const folder = await resolveRepository(REPO, {}, box.env())
  expect(readdirSync(folder)).toEqual(expect.arrayContaining([...names, 'model.safetensors.index.json']))
  rmSync(path.join(folder, names[1]!))
  const error = await rejection(resolveRepository(REPO, { offline: true }, box.env()))
  expect(error.message).toContain(names[1])
})

it('reports progress', async () => {
  box.fresh(3_000_000)
  server.faults = [({ host }) => (host === 'cdn' ? { trickle: { bytes: 200_000, pause: 30 } } : undefined)]
  const events: PullProgress[] = []
  await resolveRepository(REPO, { onProgress: (event) => events.push(event) }, box.env())
  const ofWeights = events.filter(({ file }) => file === 'model.safetensors')
  expect(ofWeights.length).toBeGreaterThan(3)
  const { total } = ofWeights[0]!
  expect(ofWeights.at(-1)).toMatchObject({ state: 'done', bytes: total, total })
  expect(events.at(-1)!.overall).toMatchObject({ bytes: events.at(-1)!.overall.total })
  expect(ofWeights.map(({ bytes }) => bytes)).toEqual(ofWeights.map(({ bytes }) => bytes).sort((a, b) => a - b))
  const rates = ofWeights.map(({ rate }) => rate).filter((rate) => rate > 0)
  expect(Math.max(...rates)).toBeGreaterThan(100_000)
  expect(JSON.stringify(events)).not.toContain(TOKEN)
})

it('stops at once by its signal, keeps what has come, and continues from there', async () => {
  const repository = box.fresh(4_000_000)
  server.faults = [({ host }) => (host === 'cdn' ? { trickle: { bytes: 100_000, pause: 10 } } : undefined)]
  const abort = new AbortController()
  const pulling = resolveRepository(
    REPO,
    { signal: abort.signal, onProgress: ({ bytes }) => bytes > 1_000_000 && abort.abort(new Error('enough')) },
    box.env(),
  )
  const error = await rejection(pulling)
  expect(error).toMatchObject({ code: 'ABORT_ERR', name: 'AbortError' })
  const partial = filesBelow(box.repoFolder).find((name) => name.endsWith('.incomplete'))!
  const kept = lstatSync(path.join(box.repoFolder, partial)).size
  expect(kept).toBeGreaterThan(1_000_000)
  expect(existsSync(`${box.repoFolder}/refs/main`)).toBe(false)

  server.faults = []
  server.requests.length = 0
  const folder = await resolveRepository(REPO, {}, box.env())
  const { content } = repository.commits.get(repository.refs.get('main')!)!.get('model.safetensors')!
  expect(readFileSync(`${folder}/model.safetensors`).equals(content)).toBe(true)
  expect(server.requests.find(({ host }) => host === 'cdn')!.from).toBe(kept)

  const late = await rejection(resolveRepository(REPO, { signal: AbortSignal.abort(), revision: 'other' }, box.env()))
  expect(late.code).toBe('ABORT_ERR')
})

it('downloads by Xet where the hub offers it, continues there too, and takes plain HTTP when Xet fails', async () => {
  const repository = box.fresh(900_000)
  const file = repository.commits.get(repository.refs.get('main')!)!.get('model.safetensors')!
  file.xet = true
  const folder = await resolveRepository(REPO, {}, box.env())
  expect(readFileSync(`${folder}/model.safetensors`).equals(file.content)).toBe(true)
  expect(server.requests.some(({ path }) => path.startsWith('/xorbs/'))).toBe(true)
  // Xet has tokens of its own; ours stays with the hub.
  for (const { host, authorization } of server.requests)
    if (host === 'cdn') expect(authorization ?? '').not.toContain(TOKEN)

  const etag = etagOf(file)
  const again = box.fresh(900_000)
  again.commits.get(again.refs.get('main')!)!.set('model.safetensors', file)
  mkdirSync(`${box.repoFolder}/blobs`, { recursive: true })
  writeFileSync(`${box.repoFolder}/blobs/${etag}.sam3-node.incomplete`, file.content.subarray(0, 500_001))
  const resumed = await resolveRepository(REPO, {}, box.env())
  expect(readFileSync(`${resumed}/model.safetensors`).equals(file.content)).toBe(true)
  expect(server.requests.find(({ path }) => path.startsWith('/v2/'))!.from).toBe(500_001)

  const third = box.fresh(900_000)
  third.commits.get(third.refs.get('main')!)!.set('model.safetensors', file)
  server.faults = [({ path }) => (path.startsWith('/xorbs/') ? { status: 500 } : undefined)]
  const plain = await resolveRepository(REPO, {}, box.env())
  expect(readFileSync(`${plain}/model.safetensors`).equals(file.content)).toBe(true)
})
