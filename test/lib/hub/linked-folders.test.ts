/** Models that were moved to another disk, with a link in their place: used as Python uses them, and no guard lost. */
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { listCache } from '../../../lib/hub/cache-list.js'
import { removeFromCache } from '../../../lib/hub/cache-remove.js'
import { verifyCache } from '../../../lib/hub/cache-verify.js'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import { commit as addCommit, etagOf, type HubRepository, modelFiles } from '../../support/hub-server/repository.js'
import { filesBelow, REPO, sandbox } from '../../support/hub-server/sandbox.js'
import { rejection } from '../../support/model.js'
import { pythonWith, runPython } from '../../support/python.js'

const python = pythonWith('huggingface_hub')
if (!python) throw new Error('No Python with huggingface_hub: run npm run setup.')

const box = sandbox()
const { server } = box

let repository: HubRepository
let commit: string
let snapshot: string
/** Another disk, as far as a test can tell. */
let elsewhere: string

beforeEach(async () => {
  repository = box.fresh()
  snapshot = await resolveRepository(REPO, {}, box.env())
  commit = path.basename(snapshot)
  elsewhere = path.join(path.dirname(box.cache), 'elsewhere')
  mkdirSync(elsewhere)
  server.requests.length = 0
})

/** Moves a folder to another disk, and leaves a link. */
function move(folder: string, name = path.basename(folder), relative = false): string {
  const target = path.join(elsewhere, name)
  renameSync(folder, target)
  symlinkSync(relative ? path.relative(path.dirname(folder), target) : target, folder)
  return target
}

/** A copy that has the files themselves, as snapshots have that were copied or made without links. */
function dereference(folder: string): void {
  cpSync(folder, `${folder}.copy`, { recursive: true, dereference: true })
  rmSync(folder, { recursive: true })
  renameSync(`${folder}.copy`, folder)
}

const MOVES: [name: string, act: () => void][] = [
  ['the whole cache', () => move(box.cache)],
  ['the folder of the model', () => move(box.repoFolder)],
  ['the folder of the model, by a relative link', () => move(box.repoFolder, 'model', true)],
  [
    'the folder of the model, by a chain of links',
    () => {
      move(box.repoFolder, 'one')
      renameSync(`${elsewhere}/one`, `${elsewhere}/three`)
      symlinkSync('three', `${elsewhere}/two`)
      symlinkSync(`${elsewhere}/two`, `${elsewhere}/one`)
    },
  ],
  ['the blobs', () => move(`${box.repoFolder}/blobs`)],
  [
    'the blobs of a model that was moved too',
    () => {
      move(`${box.repoFolder}/blobs`)
      move(box.repoFolder)
    },
  ],
  [
    'the snapshots, with their files in them',
    () => {
      dereference(snapshot)
      move(`${box.repoFolder}/snapshots`)
    },
  ],
  [
    'one snapshot, with its files in it',
    () => {
      dereference(snapshot)
      move(snapshot)
    },
  ],
  ['a folder above the cache', () => move(path.dirname(box.repoFolder))],
]

const LOOK = `
import json, sys
from huggingface_hub import try_to_load_from_cache
caches, repo, names = json.load(sys.stdin)
print(json.dumps([[try_to_load_from_cache(repo, name, cache_dir=cache) for name in names] for cache in caches]))`
const NAMES = ['config.json', 'tokenizer.json', 'model.safetensors']
const moved: [cache: string, files: string[]][] = []

describe('moved, with a link in its place', () => {
  it.each(MOVES)('%s: used offline', async (_name, act) => {
    act()
    expect(await resolveRepository(REPO, { offline: true }, box.env())).toBe(snapshot)
    expect(server.requests).toEqual([])
    const weights = repository.commits.get(commit)!.get('model.safetensors')!.content
    expect(readFileSync(`${snapshot}/model.safetensors`).equals(weights)).toBe(true)
    moved.push([box.cache, NAMES.map((name) => `${snapshot}/${name}`)])
  })

  it('each of them is one that Python finds', () => {
    const theirs = runPython(python, ['-c', LOOK], [moved.map(([cache]) => cache), REPO, NAMES])
    expect(moved).toHaveLength(MOVES.length)
    expect(theirs).toEqual(moved.map(([, files]) => files))
  })

  it.each(MOVES)('%s: listed, verified, brought up to date, and deleted without leaving bytes', async (name, act) => {
    act()
    const [listed] = await listCache(box.cache)
    expect(listed).toMatchObject({ repo: REPO, revisions: [{ commit, refs: ['main'], files: 4, broken: [] }] })
    expect(listed!.size).toBeGreaterThan(300_000)
    for await (const { state, name: file } of verifyCache(box.cache)) expect(state, file).toBe('right')

    // A newer commit comes into the same folders; what both have is not fetched again.
    const files = { ...modelFiles(300_000, 99), ...Object.fromEntries(repository.commits.get(commit)!) }
    files['config.json'] = { content: Buffer.from('{"newer":true}'), lfs: false, xet: false }
    const newer = addCommit(repository, files)
    rmSync(`${box.repoFolder}/refs/main`)
    const folder = await resolveRepository(REPO, {}, box.env())
    expect(path.basename(folder)).toBe(newer)
    for (const one of ['config.json', 'model.safetensors'])
      expect(readFileSync(`${folder}/${one}`).equals(files[one]!.content), one).toBe(true)
    if (!name.includes('its files') && !name.includes('their files')) {
      expect(server.contentRequests()).toHaveLength(1)
      expect(readlinkSync(`${folder}/config.json`)).not.toMatch(/^\//)
    }

    const keep = path.join(elsewhere, 'holiday.jpg')
    writeFileSync(keep, 'mine')
    const cache = { path: box.cache, source: 'SAM3_CACHE_DIR', chosen: true }
    expect(await removeFromCache(cache, REPO)).toBe(true)
    expect(existsSync(box.repoFolder)).toBe(false)
    const left = [...filesBelow(box.cache), ...filesBelow(elsewhere)].filter((one) => !one.includes('.locks'))
    expect(left).toContain('holiday.jpg')
    const links = left.filter((one) => one !== 'holiday.jpg')
    if (name.includes('chain')) expect(links).toEqual(['one', 'two'])
    // A folder with a model that somebody linked to as a snapshot is his.
    else if (name.includes('one snapshot')) expect(links).toContain(`${commit}/model.safetensors`)
    else expect(links).toEqual([])
  })

  it("what lies beside a model's files behind a link is not deleted with it", async () => {
    const blobs = move(`${box.repoFolder}/blobs`)
    writeFileSync(`${blobs}/thesis.pdf`, 'mine')
    await removeFromCache({ path: box.cache, source: '', chosen: true }, REPO)
    expect(readdirSync(blobs)).toEqual(['thesis.pdf'])
  })

  it('one revision is deleted with its blobs', async () => {
    const blobs = move(`${box.repoFolder}/blobs`)
    expect(await removeFromCache({ path: box.cache, source: '', chosen: true }, REPO, 'main')).toBe(true)
    expect(readdirSync(blobs)).toEqual([])
  })
})

describe('what Python keeps once for several models', () => {
  /** As huggingface_hub does it: the blob is a relative link to `blobs/<xx>/<hash>` of the cache. */
  function share(): string {
    const etag = etagOf(repository.commits.get(commit)!.get('model.safetensors')!)
    const name = `ab${'0'.repeat(62)}`
    const target = `${box.cache}/blobs/ab/${name}`
    mkdirSync(path.dirname(target), { recursive: true })
    renameSync(`${box.repoFolder}/blobs/${etag}`, target)
    symlinkSync(`../../blobs/ab/${name}`, `${box.repoFolder}/blobs/${etag}`)
    return target
  }

  it('is used, and checked against the name that the model has for it', async () => {
    const target = share()
    expect(await resolveRepository(REPO, { offline: true }, box.env())).toBe(snapshot)
    const [listed] = await listCache(box.cache)
    expect(listed!.size).toBeGreaterThan(300_000)
    writeFileSync(target, Buffer.alloc(lstatSync(target).size, 7))
    const error = await rejection(resolveRepository(REPO, { offline: true }, box.env()))
    expect(error.message).toContain('model.safetensors (its content was damaged)')
  })

  it('is used from another disk too', async () => {
    share()
    move(`${box.cache}/blobs`, 'shared')
    expect(await resolveRepository(REPO, { offline: true }, box.env())).toBe(snapshot)
  })
})

describe('still refused', () => {
  const secret = () => {
    const file = path.join(elsewhere, 'secret.json')
    writeFileSync(file, '{"secret":1}')
    return file
  }
  const WAYS: [name: string, act: () => void][] = [
    ['a file that is a link out', () => replace(`${snapshot}/config.json`, secret())],
    ['the same by a relative link', () => replace(`${snapshot}/config.json`, path.relative(snapshot, secret()))],
    [
      'the same in a model that was moved',
      () => {
        const target = move(box.repoFolder)
        replace(`${target}/snapshots/${commit}/config.json`, secret())
      },
    ],
    [
      'the same beside blobs that were moved: the name is that of no blob',
      () => {
        const blobs = move(`${box.repoFolder}/blobs`)
        writeFileSync(`${blobs}/secret.json`, '{"secret":1}')
        replace(`${snapshot}/config.json`, '../../blobs/secret.json')
      },
    ],
    [
      'a folder called blobs that leads to the root of the disk',
      () => {
        renameSync(`${box.repoFolder}/blobs`, `${elsewhere}/blobs`)
        symlinkSync('/', `${box.repoFolder}/blobs`)
        replace(`${snapshot}/config.json`, '../../blobs/etc/hostname')
      },
    ],
    [
      'a blob that is a link out',
      () => {
        const blob = path.resolve(snapshot, readlinkSync(`${snapshot}/config.json`))
        replace(blob, secret())
      },
    ],
    [
      'a chain of links out',
      () => {
        symlinkSync(secret(), `${snapshot}/first`)
        replace(`${snapshot}/config.json`, 'first')
      },
    ],
    [
      'a folder inside of a snapshot that is a link out',
      () => {
        secret()
        symlinkSync(elsewhere, `${snapshot}/more`)
      },
    ],
    ['a device', () => replace(`${snapshot}/config.json`, '/dev/zero')],
  ]

  function replace(name: string, target: string): void {
    rmSync(name)
    symlinkSync(target, name)
  }

  it.each(WAYS)('%s', async (_name, act) => {
    act()
    const error = await rejection(resolveRepository(REPO, { offline: true }, box.env()))
    expect(error.code).toBe('ERR_UNSAFE_PATH')
    expect(error.message).toMatch(/leads out of the cache, to .* refused.*put a link in its place/)
    expect(error.message).not.toContain('"secret"')
  })

  it('is not used from another cache either, and a link in a circle counts as missing', async () => {
    replace(`${snapshot}/config.json`, secret())
    const home = path.join(path.dirname(box.cache), 'home/huggingface')
    mkdirSync(home, { recursive: true })
    renameSync(box.cache, `${home}/hub`)
    const error = await rejection(resolveRepository(REPO, { offline: true }, box.env()))
    expect(error.code).toBe('ERR_OFFLINE')
    symlinkSync(box.repoFolder, `${mkdirSync(box.cache) ?? box.cache}/models--facebook--sam3`)
    expect((await rejection(resolveRepository(REPO, { offline: true }, box.env()))).code).toBe('ERR_OFFLINE')
  })
})
