/** The commands about models: the first of each as a user runs it, in a process of its own; the rest within this one. */
import { existsSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { formatTime } from '../../lib/cli/common/pull-progress.js'
import { formatBytes } from '../../lib/download/disk-space.js'
import * as hashes from '../support/hub-server/repository.js'
import { runHere } from '../support/command-line.js'
import { bundle, filesBelow, REPO, runProgram, sandbox, TOKEN } from '../support/hub-server/sandbox.js'
import { pythonWith } from '../support/python.js'
import { without } from '../support/without.js'

const box = sandbox()
const { server } = box
let program = ''
beforeAll(async () => {
  program = await bundle('lib/cli/main.ts')
})

/** In a process of its own. */
const run = (args: string[]) => runProgram(process.execPath, [program, ...args], box.processEnv())
const sam3 = (args: string[], env: Record<string, string> = {}) => runHere(args, { env: box.processEnv(env) })

/** The same on a terminal; `answer` is typed in. */
const python = pythonWith('pty')
async function onTerminal(args: string[], answer = ''): Promise<string> {
  const command = JSON.stringify([process.execPath, program, ...args])
  const typed = JSON.stringify(answer)
  const script = `import os, pty, sys
typed = [${typed}.encode()]
def read(fd):
    data = os.read(fd, 65536)
    if b'[y/N]' in data and typed: os.write(fd, typed.pop())
    return data
sys.exit(os.waitstatus_to_exitcode(pty.spawn(${command}, read)))`
  return (await runProgram(python, ['-c', script], box.processEnv())).stdout
}

const snapshotOf = () => `${box.repoFolder}/snapshots/${server.repositories.get(REPO)!.refs.get('main')}`

describe('sam3-node pull', () => {
  it('downloads, prints the folder, and says in plain lines how far it is', async () => {
    box.fresh(2_000_000, true)
    const { code, stdout, stderr } = await run(['pull'])
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${snapshotOf()}\n` })
    expect(stderr).toContain(`${box.cache} (SAM3_CACHE_DIR)`)
    expect(stderr).toMatch(/^model\.safetensors: downloading, .* of 2\.0 MB, \d+ %.*\(all files: .*\)$/m)
    expect(stderr).toMatch(/^model\.safetensors: done, 2\.0 MB of 2\.0 MB, 100 %$/m)
    expect(stderr).toMatch(/4 downloaded: 4 files, 2\.0 MB/)
    expect(stdout + stderr).not.toContain(TOKEN)
    expect((await sam3(['pull'])).stderr).toContain('Everything was there')
  })

  it('takes a repository, a revision, a folder, a token and the kind of weights, and brings up to date', async () => {
    const repository = box.fresh(10_000, true)
    const other = path.join(path.dirname(box.cache), 'other')
    const args = ['pull', REPO, '--revision', 'main', '--cache-dir', other, '--token', TOKEN, '--weights', 'meta']
    const { code, stdout, stderr } = await sam3(args, { HF_TOKEN: '' })
    expect(code, stderr).toBe(0)
    expect(readdirSync(stdout.trim())).toContain('sam3.pt')
    expect(readdirSync(stdout.trim())).not.toContain('model.safetensors')
    expect(stderr).not.toContain(TOKEN)
    const newer = hashes.commit(repository, hashes.modelFiles(10_000, 77))
    expect((await sam3(['pull', '--cache-dir', other])).stdout).toContain(newer)
  })

  it.skipIf(without('python'))('draws a bar per file on a terminal', async () => {
    box.fresh(2_000_000)
    server.faults = [({ host }) => (host === 'cdn' ? { trickle: { bytes: 200_000, pause: 40 } } : undefined)]
    const shown = (await onTerminal(['pull'])).replace(/\x1b\[[?0-9]*[a-zA-Z]/g, '')
    expect(shown).toMatch(/^model\.safetensors .*█.*MB\/s \d+ s left/m)
    expect(shown).toMatch(/all files .* 2\.0 MB\/2\.0 MB 100%/)
    expect(shown).not.toContain(TOKEN)
  })

  it('explains a refusal with numbered steps and exit code 1', async () => {
    box.fresh(10_000, true)
    const { code, stdout, stderr } = await sam3(['pull'], { HF_TOKEN: '' })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/ERR_MODEL_ACCESS: Access to model facebook\/sam3 is restricted.*\n {2}1\. .*\n {2}2\. /s)
    for (const [args, text] of [
      [['pull', 'sam3'], 'owner/name'],
      [['pull', '--revision', '../x'], 'ERR_INVALID_ARGUMENT'],
    ] as const) {
      expect((await sam3([...args])).stderr).toContain(text)
    }
  })

  it('offline says whether everything is there', async () => {
    box.fresh()
    expect((await sam3(['pull'], { HF_HUB_OFFLINE: '1' })).stderr).toContain('ERR_OFFLINE')
    await sam3(['pull'])
    server.requests.length = 0
    expect((await sam3(['pull'], { HF_HUB_OFFLINE: '1' })).stdout).toBe(`${snapshotOf()}\n`)
    expect(server.requests).toEqual([])
  })
})

describe('sam3-node cache', () => {
  it('ls lists repository, revision, size, files and last use', async () => {
    box.fresh()
    expect((await sam3(['cache', 'ls'])).stdout).toContain('No models')
    await sam3(['pull'])
    const { stdout } = await run(['cache', 'ls'])
    expect(stdout).toMatch(/^facebook\/sam3 {2}300\.\d kB$/m)
    expect(stdout).toMatch(
      /^ {2}[0-9a-f]{40} \(main\) {2}300\.\d kB in 4 files, last used 20\d\d-\d\d-\d\d \d\d:\d\d$/m,
    )
    const [{ repo, revisions }] = JSON.parse((await sam3(['cache', 'ls', '--json'])).stdout).repositories
    expect([repo, revisions[0].files, revisions[0].refs]).toEqual([REPO, 4, ['main']])
  })

  it('verify hashes everything, and finds what is wrong', async () => {
    box.fresh()
    await sam3(['pull'])
    const good = await sam3(['cache', 'verify'])
    expect(good).toMatchObject({ code: 0, stdout: expect.stringContaining('4 right, 0 wrong, 0 broken') })
    const file = server.repositories.get(REPO)!.commits.values().next().value!.get('model.safetensors')!
    truncateSync(`${box.repoFolder}/blobs/${hashes.etagOf(file)}`, 100)
    writeFileSync(`${box.repoFolder}/blobs/${'0'.repeat(64)}.sam3-node.incomplete`, 'part')
    const bad = await run(['cache', 'verify', REPO])
    expect(bad.code).toBe(1)
    expect(bad.stdout).toMatch(new RegExp(`^wrong +${REPO} ${hashes.etagOf(file)}`, 'm'))
    expect(bad.stdout).toMatch(/^partial /m)
    expect(bad.stderr).toContain('sam3-node pull')
    await sam3(['pull'])
    expect((await sam3(['cache', 'verify'])).code).toBe(0)
  })

  it('rm asks first, and deletes a model or one revision of it', async () => {
    const repository = box.fresh()
    await sam3(['pull'])
    const refused = await run(['cache', 'rm', REPO])
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
    expect(existsSync(box.repoFolder)).toBe(true)
    if (python) {
      expect(await onTerminal(['cache', 'rm', REPO], 'n\n')).toMatch(
        /Delete facebook\/sam3, 300\.\d kB.*Nothing was deleted/s,
      )
      expect(existsSync(box.repoFolder)).toBe(true)
    }
    // A second commit shares all but its config; deleting the first leaves the second whole.
    const first = repository.refs.get('main')!
    const files = { ...Object.fromEntries(repository.commits.get(first)!) }
    files['config.json'] = { content: Buffer.from('{"new":1}'), lfs: false, xet: false }
    hashes.commit(repository, files)
    await sam3(['pull'])
    expect((await sam3(['cache', 'rm', REPO, '--revision', first, '--yes'])).stdout).toContain('Deleted')
    expect(readdirSync(`${box.repoFolder}/blobs`)).toHaveLength(4)
    expect(await sam3(['pull'], { HF_HUB_OFFLINE: '1' })).toMatchObject({ code: 0 })
    expect((await sam3(['cache', 'rm', REPO, '--yes'])).code).toBe(0)
    expect(filesBelow(box.cache)).toEqual([])
    expect((await sam3(['cache', 'rm', REPO, '--yes'])).stderr).toContain('ERR_MODEL_NOT_FOUND')
  })
})

describe('sam3-node doctor', () => {
  it('says folder, model, disk, token and access, never the token', async () => {
    box.fresh(10_000, true)
    const before = await run(['doctor'])
    expect(before.code).toBe(0)
    expect(before.stdout).toMatch(/^ok {2}folder .*cache \(SAM3_CACHE_DIR\); not there yet/m)
    expect(before.stdout).toMatch(
      /^-- {2}model .*not downloaded; missing: config\.json.*\n +Download it with: sam3-node pull/m,
    )
    expect(before.stdout).toMatch(/^ok {2}disk .* GB are free/m)
    expect(before.stdout).toMatch(/^ok {2}token .*from HF_TOKEN$/m)
    expect(before.stdout).toMatch(/^ok {2}access .*can be downloaded/m)
    expect(before.stdout + before.stderr).not.toContain(TOKEN)
    await sam3(['pull'])
    expect((await sam3(['doctor'])).stdout).toMatch(/^ok {2}model .*is complete in/m)
  })

  it.each<[string, Record<string, string>, RegExp]>([
    ['no token', { HF_TOKEN: '' }, /^!! {2}access {3}ERR_MODEL_ACCESS: .*no Hugging Face token.*1\. Open/ms],
    ['a wrong token', { HF_TOKEN: 'hf_wrong' }, /^!! {2}access .*does not know the token/ms],
    ['an unreachable hub', { HF_ENDPOINT: 'http://127.0.0.1:1' }, /^!! {2}access .*ERR_HUB_UNREACHABLE/ms],
    ['offline', { HF_HUB_OFFLINE: '1' }, /^-- {2}access .*HF_HUB_OFFLINE/ms],
  ])('has a fix for %s', async (_name, env, text) => {
    box.fresh(10_000, true)
    const { code, stdout } = await sam3(['doctor'], env)
    expect(stdout).toMatch(text)
    expect(code).toBe(stdout.includes('!!') ? 1 : 0)
  })

  it('has a fix for a folder that cannot be written to', async () => {
    box.fresh()
    writeFileSync(box.cache, 'a file')
    const { stdout, code } = await sam3(['doctor', '--cache-dir', `${box.cache}/models`])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^!! {2}folder .*ERR_CACHE_NOT_WRITABLE.*\n +.*SAM3_CACHE_DIR/m)
  })
})

it('writes sizes and times for people', () => {
  expect([0, 999, 1000, 3_440_000_000].map(formatBytes)).toEqual(['0 B', '999 B', '1.0 kB', '3.4 GB'])
  expect([5, 65, 3700].map(formatTime)).toEqual(['5 s', '1 min 5 s', '1 h 1 min'])
})
