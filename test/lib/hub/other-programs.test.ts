/** What other programs leave in a cache is enough: Meta's own loader, Python's hub without links, without a branch. */
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import type { PullProgress } from '../../../lib/download/types.js'
import { findModel, locateModel } from '../../../lib/model/locate.js'
import {
  commit as addCommit,
  type HubRepository,
  modelFiles,
  seededBytes,
} from '../../support/hub-server/repository.js'
import { type FillOptions, fillAsPython } from '../../support/hub-server/python-cache.js'
import {
  bundle,
  filesBelow,
  outcomeOf,
  REPO,
  runProgram,
  sandbox,
  startPull,
} from '../../support/hub-server/sandbox.js'
import { rejection } from '../../support/model.js'
import { repositoryRoot } from '../../support/paths.js'
import { pythonWith } from '../../support/python.js'
import { without } from '../../support/without.js'

const python = pythonWith('huggingface_hub')

const box = sandbox()
const { server } = box

/** Lets Python's hub download single files, as Meta's loader and many scripts do. Forgets what was asked for. */
async function pythonDownloads(names: string[], env: Record<string, string> = {}): Promise<void> {
  const code = `from huggingface_hub import hf_hub_download
for name in ${JSON.stringify(names)}: hf_hub_download('${REPO}', name)`
  const all = box.processEnv({ HF_HUB_CACHE: box.cache, HF_HUB_DISABLE_PROGRESS_BARS: '1', ...env })
  const { code: status, stderr } = await runProgram(python, ['-c', code], all)
  if (status !== 0) throw new Error(stderr)
  server.requests.length = 0
}

/** The same without Python itself. */
function fill(names: string[], options: FillOptions = {}, repoFolder = box.repoFolder): string {
  server.requests.length = 0
  return fillAsPython(repoFolder, server.repositories.get(REPO)!, names, options)
}

/** The same model without these files. */
function modelWithout(...names: string[]): HubRepository {
  const repository = box.fresh()
  const files = repository.commits.get(repository.refs.get('main')!)!
  for (const name of names) files.delete(name)
  return repository
}

const contentOf = (repository: HubRepository, name: string) =>
  repository.commits.get(repository.refs.get('main')!)!.get(name)!.content

const packaged = path.join(repositoryRoot, 'programs/sam3')

describe("a cache that Meta's loader filled", () => {
  it.each([
    ['config.json and sam3.pt, as the loader has them', ['config.json', 'sam3.pt']],
    ['sam3.pt alone', ['sam3.pt']],
  ])('%s: complete, with and without a network', async (_name, names) => {
    box.fresh()
    await pythonDownloads(names)
    const folder = await resolveRepository(REPO, { offline: true }, box.env())
    expect(await resolveRepository(REPO, {}, box.env())).toBe(folder)
    expect(server.requests).toEqual([])
    expect(filesBelow(folder)).toEqual(names)
  })

  it("gets its network and its vocabulary from the package, as they are fixed in Meta's code too", async () => {
    box.fresh()
    fill(['sam3.pt'])
    expect(await findModel(REPO, { cacheDir: box.cache, offline: true })).toEqual({
      weights: expect.stringMatching(/sam3\.pt$/),
      program: path.join(packaged, 'program.pt'),
      names: path.join(packaged, 'names.json'),
      tokenizer: path.join(packaged, 'tokenizer.json'),
    })
  })

  it('pull brings the small files beside it and not the same numbers in another form', async () => {
    box.fresh()
    fill(['config.json', 'sam3.pt'])
    const program = await bundle('lib/cli/main.ts')
    const { code, stderr } = await runProgram(process.execPath, [program, 'pull', REPO], box.processEnv())
    expect(code, stderr).toBe(0)
    expect(
      server
        .contentRequests()
        .map(({ path: asked }) => asked.split('/').at(-1))
        .sort(),
    ).toEqual(['tokenizer.json', 'tokenizer_config.json'])
  })

  it('a newer commit is brought in the form that the repository prefers', async () => {
    const repository = box.fresh()
    fill(['config.json', 'sam3.pt'])
    addCommit(repository, modelFiles(200_000, 77))
    rmSync(`${box.repoFolder}/refs/main`)
    const folder = await resolveRepository(REPO, {}, box.env())
    expect(existsSync(`${folder}/model.safetensors`)).toBe(true)
    expect(existsSync(`${folder}/sam3.pt`)).toBe(false)
  })
})

describe('a repository', () => {
  it('that has nothing but sam3.pt is downloaded as that', async () => {
    modelWithout('config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors')
    const folder = await resolveRepository(REPO, {}, box.env())
    expect(filesBelow(folder)).toEqual(['sam3.pt'])
    server.requests.length = 0
    expect(await resolveRepository(REPO, {}, box.env())).toBe(folder)
    expect(server.requests).toEqual([])
  })

  it("without a tokenizer gets the package's, and is asked for one once", async () => {
    modelWithout('tokenizer.json')
    const folder = await resolveRepository(REPO, {}, box.env())
    expect(locateModel(path.join(folder, 'model.safetensors')).tokenizer).toBe(path.join(packaged, 'tokenizer.json'))
    await resolveRepository(REPO, {}, box.env())
    server.requests.length = 0
    expect(await resolveRepository(REPO, {}, box.env())).toBe(folder)
    expect(server.requests).toEqual([])
  })

  it('without a config is none in the form of transformers', async () => {
    modelWithout('config.json', 'sam3.pt')
    const error = await rejection(resolveRepository(REPO, {}, box.env()))
    expect(error).toMatchObject({ code: 'ERR_HUB_RESPONSE', message: expect.stringContaining('lacks config.json') })
  })
})

describe("a cache that Python's hub filled without the tokenizer", () => {
  const NAMES = ['config.json', 'model.safetensors']

  it("works offline with the package's, and online with that of the very commit that is there", async () => {
    const repository = box.fresh()
    const tokenizer = contentOf(repository, 'tokenizer.json')
    fill(NAMES)
    const folder = await resolveRepository(REPO, { offline: true }, box.env())
    expect(server.requests).toEqual([])
    expect(existsSync(`${folder}/tokenizer.json`)).toBe(false)

    const newer = modelFiles(200_000, 88) // main goes on; what is there is still what was asked for
    addCommit(repository, newer)
    expect(await resolveRepository(REPO, {}, box.env())).toBe(folder)
    expect(server.contentRequests()).toHaveLength(1)
    expect(readFileSync(`${folder}/tokenizer.json`).equals(tokenizer)).toBe(true)
    server.requests.length = 0
    expect(await resolveRepository(REPO, {}, box.env())).toBe(folder)
    expect(server.requests).toEqual([])
  })

  it.each<[string, Record<string, string>, (repository: HubRepository) => void]>([
    ['no hub answers', { HF_ENDPOINT: 'http://127.0.0.1:9' }, () => {}],
    [
      'the hub refuses',
      { HF_TOKEN: '' },
      (repository) => {
        repository.gated = true
      },
    ],
    ['the repository is gone', {}, () => server.repositories.clear()],
    ['the token is unusable', { HF_TOKEN: 'a b' }, () => {}],
  ])('is no error when %s', async (_name, variables, act) => {
    const repository = box.fresh()
    fill(NAMES)
    act(repository)
    expect(existsSync(`${await resolveRepository(REPO, {}, box.env(variables))}/model.safetensors`)).toBe(true)
  })

  it("is not written to where it is another program's, nor asked about", async () => {
    box.fresh()
    const theirs = path.join(path.dirname(box.cache), 'home/huggingface/hub')
    fill(NAMES, {}, path.join(theirs, 'models--facebook--sam3'))
    const before = filesBelow(theirs)
    expect(await resolveRepository(REPO, {}, box.env())).toContain(theirs)
    expect(server.requests).toEqual([])
    expect(filesBelow(theirs).filter((name) => !name.includes('.sam3-node'))).toEqual(before)
  })

  it('remembers what Python found not to exist', async () => {
    const repository = modelWithout('tokenizer.json')
    const code = `from huggingface_hub import hf_hub_download
try: hf_hub_download('${REPO}', 'tokenizer.json')
except Exception as error: print(type(error).__name__)`
    await pythonDownloads(NAMES)
    const env = box.processEnv({ HF_HUB_CACHE: box.cache })
    expect((await runProgram(python, ['-c', code], env)).stdout.trim()).toMatch(/EntryNotFound/)
    expect(existsSync(`${box.repoFolder}/.no_exist/${repository.refs.get('main')}/tokenizer.json`)).toBe(true)
    server.requests.length = 0
    await resolveRepository(REPO, {}, box.env())
    expect(server.requests).toEqual([])
  })

  it("an error of the caller's own onProgress is his", async () => {
    box.fresh()
    fill(NAMES)
    const mine = new Error('mine')
    const onProgress = () => {
      throw mine
    }
    expect(await rejection(resolveRepository(REPO, { onProgress }, box.env()))).toBe(mine)
  })
})

describe('a cache without links', () => {
  it('has the files themselves in its snapshots; none is fetched again', async () => {
    const repository = box.fresh()
    await pythonDownloads(['config.json', 'model.safetensors', 'tokenizer.json'], { HF_HUB_DISABLE_SYMLINKS: '1' })
    const commit = repository.refs.get('main')!
    const folder = `${box.repoFolder}/snapshots/${commit}`
    expect(statSync(`${folder}/model.safetensors`).isFile()).toBe(true)
    expect(await resolveRepository(REPO, { offline: true }, box.env())).toBe(folder)
    // A branch whose name was lost leads there again.
    rmSync(`${box.repoFolder}/refs`, { recursive: true })
    rmSync(`${box.repoFolder}/blobs`, { recursive: true, force: true })
    const events: PullProgress[] = []
    expect(await resolveRepository(REPO, { onProgress: (event) => void events.push(event) }, box.env())).toBe(folder)
    expect(server.contentRequests().map(({ path: asked }) => asked.split('/').at(-1))).toEqual([
      'tokenizer_config.json',
    ])
    expect(events.find(({ file, state }) => file === 'model.safetensors' && state === 'cached')).toBeDefined()
    expect(readFileSync(`${box.repoFolder}/refs/main`, 'utf8')).toBe(commit)
  })

  it('a file in it that is not what the hub has is replaced', async () => {
    const repository = box.fresh()
    fill(['config.json', 'model.safetensors'], { copies: true })
    const weights = contentOf(repository, 'model.safetensors')
    rmSync(`${box.repoFolder}/refs`, { recursive: true })
    const folder = `${box.repoFolder}/snapshots/${repository.refs.get('main')}`
    writeFileSync(`${folder}/model.safetensors`, seededBytes(weights.length, 5))
    await resolveRepository(REPO, {}, box.env())
    expect(readFileSync(`${folder}/model.safetensors`).equals(weights)).toBe(true)
  })
})

describe('branches and snapshots', () => {
  it('a snapshot that no branch leads to is not taken for one, but named', async () => {
    const repository = box.fresh()
    const commit = repository.refs.get('main')!
    fill(['config.json', 'model.safetensors'], { revision: commit })
    const error = await rejection(resolveRepository(REPO, { offline: true }, box.env()))
    expect(error.code).toBe('ERR_OFFLINE')
    expect(error.message).toContain(
      `pass the revision of another snapshot, which is complete: ${commit} in ${box.cache}`,
    )
    const folder = await resolveRepository(REPO, { offline: true, revision: commit }, box.env())
    expect(path.basename(folder)).toBe(commit)
  })

  it('of several snapshots the one of the branch is taken, and a branch to nowhere says which there are', async () => {
    const repository = box.fresh()
    const first = repository.refs.get('main')!
    fill(['config.json', 'sam3.pt'])
    const second = addCommit(repository, modelFiles(200_000, 66), 'fine-tuned')
    fill(['config.json', 'model.safetensors'], { revision: 'fine-tuned' })
    const find = (revision: string) => resolveRepository(REPO, { offline: true, revision }, box.env())
    expect(path.basename(await find('main'))).toBe(first)
    expect(path.basename(await find('fine-tuned'))).toBe(second)
    writeFileSync(`${box.repoFolder}/refs/main`, '9'.repeat(40))
    const { message } = await rejection(find('main'))
    expect(message).toContain(`${first} in`)
    expect(message).toContain(`${second} in`)
  })

  it('an index without its shards gives way to a sam3.pt that is whole', async () => {
    const repository = box.fresh()
    const files = repository.commits.get(repository.refs.get('main')!)!
    files.delete('model.safetensors')
    const index = JSON.stringify({ weight_map: { a: 'model-1.safetensors' } })
    files.set('model.safetensors.index.json', { content: Buffer.from(index), lfs: false, xet: false })
    fill(['config.json', 'model.safetensors.index.json', 'sam3.pt'])
    const folder = await resolveRepository(REPO, { offline: true }, box.env())
    rmSync(`${folder}/config.json`) // of another network: not what this is about
    expect(path.basename(locateModel(folder).weights)).toBe('sam3.pt')
  })
})

describe('files of another user', () => {
  it.skipIf(without('root'))('that may not be read are named, and are not taken for a model', async () => {
    box.fresh()
    fill(['config.json', 'sam3.pt'])
    for (const name of filesBelow(`${box.repoFolder}/blobs`)) chmodSync(`${box.repoFolder}/blobs/${name}`, 0o600)
    chmodSync(box.root, 0o755)
    const env = box.processEnv({ HF_HUB_OFFLINE: '1' })
    const outcome = await outcomeOf(await startPull(env, { uid: 65534 }))
    expect(outcome).toMatchObject({ code: 'ERR_OFFLINE', message: expect.stringContaining('may not read it') })
    for (const name of filesBelow(`${box.repoFolder}/blobs`)) chmodSync(`${box.repoFolder}/blobs/${name}`, 0o444)
    expect((await outcomeOf(await startPull(env, { uid: 65534 })))?.folder).toContain('snapshots')
  })
})

describe('a path', () => {
  const folder = () => path.join(path.dirname(box.cache), 'local')

  it('of hf download --local-dir is a folder like any other', async () => {
    box.fresh()
    const code = `from huggingface_hub import snapshot_download
snapshot_download('${REPO}', local_dir=${JSON.stringify(folder())}, allow_patterns=['sam3.pt'])`
    const { code: status, stderr } = await runProgram(python, ['-c', code], box.processEnv())
    expect(status, stderr).toBe(0)
    expect(locateModel(folder()).weights).toBe(`${folder()}/sam3.pt`)
    rmSync(`${folder()}/sam3.pt`)
    writeFileSync(`${folder()}/.cache/huggingface/download/x.incomplete`, '')
    expect(() => locateModel(folder())).toThrow(/download into it was not finished.*hf download/)
  })

  it('of a model inside of a cache is told apart from one without weights', async () => {
    box.fresh()
    await resolveRepository(REPO, {}, box.env())
    expect(() => locateModel(box.repoFolder)).toThrow(
      expect.objectContaining({
        code: 'ERR_MODEL_NOT_FOUND',
        fix: `Pass model: 'facebook/sam3' with cacheDir: '${box.cache}'.`,
      }),
    )
  })

  it('may be a copy of a snapshot', async () => {
    box.fresh()
    fill(['sam3.pt'])
    mkdirSync(folder(), { recursive: true })
    const snapshot = await resolveRepository(REPO, { offline: true }, box.env())
    cpSync(snapshot, folder(), { recursive: true, dereference: true })
    expect(locateModel(folder()).tokenizer).toBe(path.join(packaged, 'tokenizer.json'))
  })
})
