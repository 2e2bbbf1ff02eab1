/** One cache for both: what Python's huggingface_hub downloads is used here, and the other way round. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import * as hashes from '../../support/hub-server/repository.js'
import {
  filesBelow,
  outcomeOf,
  REPO,
  runProgram,
  sandbox,
  startPull,
  wrongBlobs,
} from '../../support/hub-server/sandbox.js'
import { pythonWith } from '../../support/python.js'
import { without } from '../../support/without.js'

const python = pythonWith('huggingface_hub')
const box = sandbox()
const { server } = box

const NAMES = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']

/** Runs Python with the same cache, and gives what it prints. */
async function runPython(code: string, env: Record<string, string> = {}): Promise<string> {
  const all = box.processEnv({
    HF_HUB_CACHE: box.cache,
    HF_HUB_DISABLE_PROGRESS_BARS: '1',
    HF_HUB_DISABLE_TELEMETRY: '1',
    ...env,
  })
  const { code: status, stdout, stderr } = await runProgram(python, ['-c', code], all)
  if (status !== 0) throw new Error(stderr)
  return stdout.trim()
}

const SNAPSHOT = `from huggingface_hub import snapshot_download; print(snapshot_download('${REPO}', allow_patterns=${JSON.stringify(NAMES)}))`

/** Names, where they lead, and content of a snapshot. */
function describeSnapshot(folder: string): object[] {
  return readdirSync(folder)
    .sort()
    .map((name) => ({
      name,
      target: readlinkSync(path.join(folder, name)),
      hash: hashes.sha256(readFileSync(path.join(folder, name))),
    }))
}

describe.skipIf(without('python'))('with the huggingface_hub of Python', () => {
  it('what Python downloaded is used without any request', async () => {
    box.fresh()
    const theirs = await runPython(SNAPSHOT)
    server.requests.length = 0
    expect(await resolveRepository(REPO, {}, box.env())).toBe(theirs)
    expect(server.requests).toEqual([])
  })

  it('what is downloaded here, Python uses without any request', async () => {
    const repository = box.fresh()
    const ours = await resolveRepository(REPO, {}, box.env())
    const commit = repository.refs.get('main')!
    server.requests.length = 0
    expect(await runPython(SNAPSHOT, { HF_HUB_OFFLINE: '1' })).toBe(ours)
    const file = `from huggingface_hub import hf_hub_download as d, try_to_load_from_cache as t
print(d('${REPO}', 'model.safetensors', revision='${commit}'), t('${REPO}', 'config.json'))`
    expect(await runPython(file)).toBe(`${ours}/model.safetensors ${ours}/config.json`)
    expect(server.requests).toEqual([])
    // Online and by the name of a branch, Python asks for metadata, as it does with a cache of its own; no content.
    expect(await runPython(SNAPSHOT)).toBe(ours)
    expect(server.contentRequests()).toEqual([])
  })

  it('both make the same files', async () => {
    box.fresh()
    const theirs = describeSnapshot(await runPython(SNAPSHOT))
    const repository = server.repositories.get(REPO)!
    const blobs = readdirSync(`${box.repoFolder}/blobs`)
    const ref = readFileSync(`${box.repoFolder}/refs/main`, 'utf8')
    box.fresh()
    server.repositories.set(REPO, repository)
    const ours = describeSnapshot(await resolveRepository(REPO, {}, box.env()))
    expect(ours).toEqual(theirs)
    expect(readdirSync(`${box.repoFolder}/blobs`).sort()).toEqual(blobs.sort())
    expect(readFileSync(`${box.repoFolder}/refs/main`, 'utf8')).toBe(ref)
  })

  it("Python's own tools read our cache without a warning, and can delete from it", async () => {
    const repository = box.fresh()
    await resolveRepository(REPO, {}, box.env())
    const scan = `import json; from huggingface_hub import scan_cache_dir; i = scan_cache_dir()
print(json.dumps({'warnings': [str(w) for w in i.warnings], 'repos': [r.repo_id for r in i.repos], 'files': [len(v.files) for r in i.repos for v in r.revisions], 'refs': [sorted(r.refs) for r in i.repos]}))
i.delete_revisions('${repository.refs.get('main')}').execute()`
    expect(JSON.parse(await runPython(scan))).toEqual({ warnings: [], repos: [REPO], files: [4], refs: [['main']] })
    expect(filesBelow(box.cache).filter((name) => name.includes('blobs'))).toEqual([])
    expect(await resolveRepository(REPO, {}, box.env())).toContain('snapshots')
  })

  it('both at the same time, and after a Python that was killed: one right file', async () => {
    box.fresh(4_000_000)
    server.faults = [({ host }) => (host === 'cdn' ? { trickle: { bytes: 100_000, pause: 8 } } : undefined)]
    const [theirs, ours] = await Promise.all([runPython(SNAPSHOT), startPull(box.processEnv()).then(outcomeOf)])
    expect(ours?.folder).toBe(theirs)
    expect(wrongBlobs(box.repoFolder, hashes)).toEqual([])
    expect(filesBelow(box.repoFolder).filter((name) => name.endsWith('incomplete'))).toEqual([])

    box.fresh(4_000_000)
    const kill = `import os, threading; threading.Timer(1.5, lambda: os._exit(9)).start()\n${SNAPSHOT}`
    server.faults = [({ host }) => (host === 'cdn' ? { trickle: { bytes: 20_000, pause: 20 } } : undefined)]
    await runPython(kill).catch(() => {})
    server.faults = []
    await resolveRepository(REPO, {}, box.env())
    expect(wrongBlobs(box.repoFolder, hashes)).toEqual([])
  })
})
