/** Caches and servers that try to lead out of the cache, and content that is not what it is called. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { ownIdentity } from '../../../lib/download/process-identity.js'
import type { PullProgress } from '../../../lib/download/types.js'
import { isRepositoryName, isSafePath, RepositoryLayout } from '../../../lib/hub/layout.js'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import * as hashes from '../../support/hub-server/repository.js'
import { filesBelow, REPO, sandbox, wrongBlobs } from '../../support/hub-server/sandbox.js'
import { rejection } from '../../support/model.js'

const box = sandbox()
const { server } = box

const evil: hashes.HubFile = { content: Buffer.from('evil'), lfs: false, xet: false }

describe('names from the server', () => {
  it('that lead out of the cache are never written', async () => {
    const names = [
      '../../evil.json',
      '/etc/evil.json',
      'a/../../../config.json',
      'C:\\evil.json',
      '..\\evil.json',
      'model-../../x.safetensors',
    ]
    const repository = box.fresh()
    const files = repository.commits.get(repository.refs.get('main')!)!
    const weights = files.get('model.safetensors')!
    files.delete('model.safetensors')
    files.set('model.safetensors.index.json', evil)
    files.set('model-1.safetensors', weights)
    for (const name of names) files.set(name, evil)
    const folder = await resolveRepository(REPO, {}, box.env())
    expect(filesBelow(path.dirname(box.cache)).filter((name) => /evil|x\.safetensors/.test(name))).toEqual([])
    expect(existsSync(`${folder}/model-1.safetensors`)).toBe(true)
    expect(existsSync('/etc/evil.json')).toBe(false)

    // A shard that an index names outside of its folder is missing, not read.
    const map = { weight_map: { a: '../../../../../etc/hostname' } }
    rmSync(`${folder}/model.safetensors.index.json`)
    writeFileSync(`${folder}/model.safetensors.index.json`, JSON.stringify(map))
    const error = await rejection(resolveRepository(REPO, { offline: true }, box.env()))
    expect(error).toMatchObject({ code: 'ERR_OFFLINE', message: expect.stringContaining('etc/hostname') })
  })

  it('that are no commits or hashes are refused', async () => {
    const repository = box.fresh()
    const files = repository.commits.get(repository.refs.get('main')!)!
    repository.commits.set('../../escape', files)
    repository.refs.set('main', '../../escape')
    expect((await rejection(resolveRepository(REPO, {}, box.env()))).code).toBe('ERR_UNSAFE_PATH')
    const layout = new RepositoryLayout('/cache', REPO)
    for (const etag of ['../x', 'abc', '', 'g'.repeat(40)]) expect(() => layout.blob(etag)).toThrow(/refused/)
    for (const name of ['../x', 'a//b', '.', '/x', 'a\\b', 'C:x', 'a\0b', '']) {
      expect(isSafePath(name)).toBe(false)
      expect(() => layout.pointer('0'.repeat(40), name)).toThrow(/refused/)
    }
    for (const name of ['a', '../a', 'a/b/c', 'a/..', './a', 'a--b/c', 'a/b c'])
      expect(isRepositoryName(name)).toBe(false)
  })
})

describe('links', () => {
  it('of a snapshot that lead out of the cache are refused', async () => {
    box.fresh()
    const folder = await resolveRepository(REPO, {}, box.env())
    const outside = path.join(mkdtempSync(path.join(box.root, 'outside-')), 'config.json')
    writeFileSync(outside, '{}')
    rmSync(`${folder}/config.json`)
    symlinkSync(outside, `${folder}/config.json`)
    const error = await rejection(resolveRepository(REPO, {}, box.env()))
    expect(error).toMatchObject({ code: 'ERR_UNSAFE_PATH', message: expect.stringContaining(outside) })
    expect(error.message).toContain('sam3-node cache rm facebook/sam3')
    expect(readFileSync(outside, 'utf8')).toBe('{}')
  })

  it('with the name of a partial file are not written through', async () => {
    const repository = box.fresh()
    const file = repository.commits.get(repository.refs.get('main')!)!.get('model.safetensors')!
    const victim = path.join(box.root, 'victim')
    writeFileSync(victim, 'precious')
    mkdirSync(`${box.repoFolder}/blobs`, { recursive: true })
    symlinkSync(victim, `${box.repoFolder}/blobs/${hashes.etagOf(file)}.sam3-node.incomplete`)
    expect((await rejection(resolveRepository(REPO, {}, box.env()))).message).toContain('ELOOP')
    expect(readFileSync(victim, 'utf8')).toBe('precious')
  })

  it('that lead nowhere count as missing, and are repaired', async () => {
    box.fresh()
    const folder = await resolveRepository(REPO, {}, box.env())
    rmSync(`${box.repoFolder}/blobs`, { recursive: true })
    expect((await rejection(resolveRepository(REPO, { offline: true }, box.env()))).code).toBe('ERR_OFFLINE')
    expect(await resolveRepository(REPO, {}, box.env())).toBe(folder)
    expect(wrongBlobs(box.repoFolder, hashes)).toEqual([])
  })
})

describe('a poisoned blob', () => {
  it.each<[string, (blob: string) => void]>([
    ['of the right length', (blob) => writeFileSync(blob, Buffer.alloc(readFileSync(blob).length, 7))],
    ['cut short', (blob) => truncateSync(blob, 1_000)],
    [
      'with the old date',
      (blob) => {
        writeFileSync(blob, Buffer.alloc(readFileSync(blob).length, 7))
        utimesSync(blob, new Date(0), new Date(0))
      },
    ],
  ])('%s is found, never used, and replaced', async (_name, poison) => {
    const repository = box.fresh()
    const file = repository.commits.get(repository.refs.get('main')!)!.get('model.safetensors')!
    const folder = await resolveRepository(REPO, {}, box.env())
    poison(`${box.repoFolder}/blobs/${hashes.etagOf(file)}`)
    const error = await rejection(resolveRepository(REPO, { offline: true }, box.env()))
    expect(error).toMatchObject({
      code: 'ERR_OFFLINE',
      message: expect.stringContaining('model.safetensors (its content was damaged)'),
    })
    expect(await resolveRepository(REPO, {}, box.env())).toBe(folder)
    expect(readFileSync(`${folder}/model.safetensors`).equals(file.content)).toBe(true)
    expect(server.contentRequests().length).toBe(4 + 1)
  })

  it('that waits for a download of that name is replaced too', async () => {
    const repository = box.fresh()
    const file = repository.commits.get(repository.refs.get('main')!)!.get('model.safetensors')!
    mkdirSync(`${box.repoFolder}/blobs`, { recursive: true })
    writeFileSync(`${box.repoFolder}/blobs/${hashes.etagOf(file)}`, Buffer.alloc(file.content.length))
    const folder = await resolveRepository(REPO, {}, box.env())
    expect(readFileSync(`${folder}/model.safetensors`).equals(file.content)).toBe(true)
  })

  it('a poisoned partial file is thrown away when its hash turns out wrong', async () => {
    const repository = box.fresh()
    const file = repository.commits.get(repository.refs.get('main')!)!.get('model.safetensors')!
    mkdirSync(`${box.repoFolder}/blobs`, { recursive: true })
    writeFileSync(`${box.repoFolder}/blobs/${hashes.etagOf(file)}.sam3-node.incomplete`, Buffer.alloc(200_000))
    const folder = await resolveRepository(REPO, {}, box.env())
    expect(readFileSync(`${folder}/model.safetensors`).equals(file.content)).toBe(true)
  })

  it("in another program's cache is left alone, and not used", async () => {
    const repository = box.fresh()
    const file = repository.commits.get(repository.refs.get('main')!)!.get('model.safetensors')!
    const other = path.join(path.dirname(box.cache), 'home/huggingface/hub')
    await resolveRepository(REPO, { cacheDir: other }, box.env())
    const blob = path.join(other, 'models--facebook--sam3/blobs', hashes.etagOf(file))
    writeFileSync(blob, Buffer.alloc(file.content.length))
    expect(await resolveRepository(REPO, {}, box.env())).toContain(box.cache)
    expect(readFileSync(blob).equals(Buffer.alloc(file.content.length))).toBe(true)
  })
})

it('an owner that was only suspended cannot spoil the file of the one that took over', async () => {
  const repository = box.fresh(2_000_000)
  const file = repository.commits.get(repository.refs.get('main')!)!.get('model.safetensors')!
  const layout = new RepositoryLayout(box.cache, REPO)
  const etag = hashes.etagOf(file)
  mkdirSync(layout.blobs, { recursive: true })
  mkdirSync(layout.lock(etag), { recursive: true })
  const owner = { ...ownIdentity(), host: 'another container', key: 'old' }
  writeFileSync(path.join(layout.lock(etag), '1'), JSON.stringify(owner))
  writeFileSync(layout.partial(etag), file.content.subarray(0, 1_000_000))
  const suspended = openSync(layout.partial(etag), 'r+')
  const lock = { beat: 50, patience: 300, poll: 20 }
  const onProgress = ({ file: name, state }: PullProgress) => {
    if (name !== 'model.safetensors' || state !== 'downloading') return
    writeSync(suspended, Buffer.alloc(500_000, 1), 0, 500_000, 0) // it wakes up, and writes where it was
  }
  const folder = await resolveRepository(REPO, { onProgress }, box.env(), { lock })
  writeSync(suspended, Buffer.alloc(500_000, 1), 0, 500_000, 0)
  closeSync(suspended)
  expect(readFileSync(`${folder}/model.safetensors`).equals(file.content)).toBe(true)
  // What it had brought is used nevertheless.
  expect(server.requests.find(({ host }) => host === 'cdn')!.from).toBe(1_000_000)
})
