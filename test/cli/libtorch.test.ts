/** `sam3-node libtorch`: installations as a user runs them, in a process of their own; the rest within this one. */
import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runHere } from '../support/command-line.js'
import { bundle, removeBundles, runProgram } from '../support/hub-server/sandbox.js'
import { IndexServer, noise, torchWheel } from '../support/index-server.js'
import { repositoryRoot } from '../support/paths.js'
import { pythonWith } from '../support/python.js'
import { without } from '../support/without.js'
import { CRASHING, HARMLESS, sharedLibrary } from '../support/shared-library.js'

const manifest = JSON.parse(readFileSync(`${repositoryRoot}/build/Release/sam3_engine.json`, 'utf8')) as {
  torch: string
  libtorch: string
}
const builtWith = realpathSync(manifest.libtorch)
const server = new IndexServer()
const root = mkdtempSync(path.join(tmpdir(), 'sam3-cli-'))
let program = ''
let number = 0
let cache = ''
const store = () => `${cache}/sam3-node/libtorch`

beforeAll(async () => {
  await server.start()
  program = await bundle('lib/cli/main.ts')
})
afterAll(async () => {
  await server.stop()
  await removeBundles()
  rmSync(root, { recursive: true, force: true })
})
beforeEach(() => {
  server.reset()
  cache = path.join(root, String(++number))
})

const environment = (more: Record<string, string> = {}) => ({
  PATH: process.env.PATH,
  HOME: root,
  XDG_CACHE_HOME: cache,
  PIP_CONFIG_FILE: '/dev/null',
  ...more,
})
const libtorch = (args: string[], env: Record<string, string> = {}) =>
  runProgram(process.execPath, [program, 'libtorch', ...args], environment(env))
const here = (args: string[], env: Record<string, string> = {}) =>
  runHere(['libtorch', ...args], { env: environment(env) })
const wheelName = (version: string) => `torch-${version}-cp311-cp311-manylinux_2_28_x86_64.whl`
const offer = async (library: Buffer, version = '9.9.9+cpu', more: Record<string, Buffer> = {}) =>
  server.add('torch', wheelName(version), await torchWheel(version, [], library, more))

describe('sam3-node libtorch install', () => {
  it('takes wheels of an index, tries them, prints the folder, and list knows them', async () => {
    await offer(sharedLibrary(HARMLESS), '9.9.9+cpu', { 'torch/lib/libpad.so': noise(300_000, 3) })
    const args = ['install', '--version', '9.9.9', '--flavour', 'cpu']
    const { code, stdout, stderr } = await libtorch([...args, '--index', server.index])
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: `${store()}/9.9.9+cpu/torch\n` })
    expect(stderr).toContain(`The engine was built for LibTorch ${manifest.torch}`)
    expect(stderr).toMatch(/^torch-9\.9\.9\+cpu-.*: done, .* 100 %$/m)
    expect(stderr).toMatch(/^unpacking .*\ntrying .*\nInstalled\.$/m)
    expect((await here([...args, '--index', 'pip'], { PIP_INDEX_URL: server.index })).stderr).toContain('It was there')
    expect((await libtorch(['list'])).stdout).toMatch(/^ {2}9\.9\.9\+cpu {3}\d+\.\d kB {3}\//m)
    const { libtorch: list } = JSON.parse((await here(['list', '--json'])).stdout)
    expect(list).toEqual([expect.objectContaining({ version: '9.9.9', flavour: 'cpu', link: false })])
  })

  it('asks the indexes that pip is set up for, and a mirror of the official host', async () => {
    await offer(sharedLibrary(HARMLESS))
    const args = ['install', '--version', '9.9.9', '--flavour', 'cpu']
    const none = await here([...args, '--index', 'pip'])
    expect(none).toMatchObject({ code: 2, stderr: expect.stringMatching(/ERR_INVALID_ARGUMENT.*PIP_INDEX_URL/s) })
    const dir = path.join(cache, 'elsewhere')
    const { code, stderr } = await libtorch([...args, '--index', 'pip', '--dir', dir], { PIP_INDEX_URL: server.index })
    expect(code, stderr).toBe(0)
    expect(stderr).toContain(`SAM3_LIBTORCH_DIR=${dir}`)
    expect((await here(['list'], { SAM3_LIBTORCH_DIR: dir })).stdout).toContain('9.9.9+cpu')

    const mirror = await here(args, { SAM3_LIBTORCH_MIRROR: server.address })
    expect(mirror.stderr).toContain(`${server.address}/whl/cpu`)
  })

  it('finds out in another process that a LibTorch crashes, and leaves nothing behind', async () => {
    await offer(sharedLibrary(CRASHING))
    const args = ['install', '--version', '9.9.9', '--flavour', 'cpu', '--index', server.index]
    const { code, stdout, stderr } = await libtorch(args)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/ERR_LIBTORCH_LOAD: .*crashed with SIGABRT/)
    expect(readdirSync(store()).filter((name) => !/^\.(lock|downloads)$/.test(name))).toEqual([])
  })

  it('finds out that a LibTorch of the right version is not the one that the engine was built with', async () => {
    await offer(sharedLibrary(HARMLESS), `${manifest.torch}+cpu`)
    const { code, stderr } = await libtorch(['install', '--flavour', 'cpu', '--index', server.index])
    expect(code).toBe(1)
    expect(stderr).toMatch(/ERR_LIBTORCH_LOAD: .*(libtorch_cpu|libc10).*doctor/s)
  })

  it('stops for Ctrl-C, and says that the same command continues', async () => {
    await offer(noise(600_000, 5))
    server.fault = ({ path: asked }) => (asked.endsWith('.whl') ? { trickle: { bytes: 10_000, pause: 20 } } : undefined)
    const args = ['install', '--version', '9.9.9', '--flavour', 'cpu', '--index', server.index]
    const child = spawn(process.execPath, [program, 'libtorch', ...args], { env: environment() })
    let stderr = ''
    child.stderr.on('data', (chunk) => {
      stderr += chunk
      if (String(chunk).includes('downloading')) child.kill('SIGINT')
    })
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(130)
    expect(stderr).toContain('the same command continues')
    expect(readdirSync(`${store()}/.downloads`)).toEqual([expect.stringMatching(/\.partial$/)])
  })

  it.each([
    [['--flavour', 'cu999'], /Allowed choices are auto, cpu, cu126/, 2],
    [['--version', 'latest'], /Write it as 2\.13\.0/, 2],
    [['--index', 'ftp://x'], /ERR_INVALID_ARGUMENT: --index is no web address/, 2],
    [['--folder', '/nowhere'], /ERR_LIBTORCH_NOT_FOUND: --folder is \/nowhere/, 1],
    [['--python', '/nowhere/python3'], /ERR_INVALID_ARGUMENT: .*has no torch/, 2],
  ])('refuses %j', async (args, text, exitCode) => {
    const { code, stderr } = await here(['install', ...args])
    expect(code).toBe(exitCode)
    expect(stderr).toMatch(text)
  })
})

describe('a LibTorch that is there already', () => {
  it('is tried with the engine and remembered, and gives way to no other by accident', async () => {
    const { code, stdout, stderr } = await libtorch(['install', '--folder', manifest.libtorch])
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: `${builtWith}\n` })
    const { libtorch: list } = JSON.parse((await here(['list', '--json'])).stdout)
    expect(list).toEqual([expect.objectContaining({ version: manifest.torch, link: true })])
    expect((await libtorch(['install', '--folder', manifest.libtorch])).code).toBe(0)
    const [name] = readdirSync(store())
    rmSync(`${store()}/${name}`)
    mkdirSync(`${store()}/${name}`)
    writeFileSync(`${store()}/${name}/file`, '')
    const taken = await libtorch(['install', '--folder', manifest.libtorch])
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining('is installed already') })
    expect(existsSync(`${store()}/${name}/file`)).toBe(true)
  })

  const python = pythonWith('torch')
  it.skipIf(without('python'))('is found through the Python that it belongs to', async () => {
    const { code, stdout, stderr } = await libtorch(['install', '--python', python])
    expect(code, stderr).toBe(0)
    expect(existsSync(`${stdout.trim()}/lib/libtorch.so`)).toBe(true)
  })

  it('is what path prints', async () => {
    expect((await libtorch(['path'])).stdout).toBe(`${builtWith}\n`)
    expect(await here(['path'], { LIBTORCH: '/nowhere' })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ERR_LIBTORCH_NOT_FOUND'),
    })
  })
})
