/** LibTorch by download: from an archive and from wheels, through servers that fail and processes that die. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type InstallJob, installLibtorch } from '../../../lib/libtorch/install.js'
import type { Source } from '../../../lib/libtorch/sources.js'
import { bundle, filesBelow, removeBundles } from '../../support/hub-server/sandbox.js'
import type { Fault } from '../../support/hub-server/faults.js'
import { IndexServer, noise, nvidiaWheel, sha256, torchWheel, zip } from '../../support/index-server.js'
import { rejection } from '../../support/model.js'
import { seededRandom } from '../../support/random.js'

const server = new IndexServer()
const root = mkdtempSync(path.join(tmpdir(), 'sam3-install-'))
const library = noise(400_000, 7)
let archive: Buffer
let module = ''
let number = 0
let store = ''

beforeAll(async () => {
  await server.start()
  archive = await zip({
    'libtorch/build-version': '2.13.0+cpu\n',
    'libtorch/lib/libtorch.so': library,
    'libtorch/lib/libtorch.a': 'static',
    'libtorch/include/ATen/ATen.h': '#pragma once\n',
    'libtorch/share/cmake/Torch/TorchConfig.cmake': '',
  })
  module = await bundle('lib/libtorch/install.ts')
})
afterAll(async () => {
  await server.stop()
  await removeBundles()
  rmSync(root, { recursive: true, force: true })
})
beforeEach(() => {
  server.reset()
  server.add('torch', 'libtorch.zip', archive)
  store = path.join(root, String(++number))
})

const archiveSource = (): Source => ({
  kind: 'archive',
  url: `${server.index}/torch/libtorch.zip`,
  bytes: archive.length,
  sha256: sha256(archive),
})
const job = (more: Partial<InstallJob> = {}): InstallJob => ({
  version: '2.13.0',
  flavour: 'cpu',
  source: archiveSource(),
  store,
  patience: { retry: { pause: 2 }, stallTimeout: 300 },
  ...more,
})
const wheels = (): Source => ({ kind: 'wheels', indexes: [server.index] })

/** What anyone looking for LibTorch can see: nothing, or something complete. */
function visible(): string[] {
  return existsSync(store) ? readdirSync(store).filter((name) => !name.startsWith('.')) : []
}

function expectWhole(): void {
  expect(visible()).toEqual(['2.13.0+cpu'])
  expect(readFileSync(`${store}/2.13.0+cpu/libtorch/lib/libtorch.so`).equals(library)).toBe(true)
  expect(filesBelow(store).filter((name) => /partial|unpacking|downloads/.test(name))).toEqual([])
}

describe('an archive', () => {
  it('becomes libraries, headers and a version, and nothing else; the second time nothing is asked', async () => {
    const events: string[] = []
    const { folder, present } = await installLibtorch(job({ onProgress: ({ state }) => events.push(state) }))
    expect({ folder, present }).toEqual({ folder: `${store}/2.13.0+cpu`, present: false })
    expectWhole()
    expect(filesBelow(folder)).toEqual([
      'libtorch/build-version',
      'libtorch/include/ATen/ATen.h',
      'libtorch/lib/libtorch.so',
    ])
    expect(new Set(events)).toEqual(new Set(['downloading', 'done']))
    server.requests.length = 0
    expect(await installLibtorch(job())).toEqual({ folder, present: true })
    expect(server.requests).toEqual([])
  })

  const random = seededRandom(5)
  it.each<[string, number, Fault | (() => Fault)]>([
    ['connections that break at random places', 6, () => ({ breakAfter: Math.floor(random() * 60_000) })],
    ['a body that ends too early', 2, { endAfter: 100_000 }],
    ['a wrong byte', 1, { corrupt: true }],
    ['503 three times', 3, { status: 503 }],
    ['a connection that hangs', 1, { hangAfter: 150_000 }],
    [
      'a server that ignores ranges after a break',
      2,
      (
        (calls = 0) =>
        () =>
          calls++ === 0 ? { breakAfter: 200_000 } : { ignoreRange: true }
      )(),
    ],
  ])('gets through %s', async (_name, times, fault) => {
    let left = times
    server.fault = () => (left-- > 0 ? (typeof fault === 'function' ? fault() : fault) : undefined)
    await installLibtorch(job())
    expectWhole()
    expect(left).toBeLessThanOrEqual(0)
  })

  it('is continued by the next run, and not taken when its hash is wrong', async () => {
    server.fault = () => ({ breakAfter: 250_000 })
    const broken = await rejection(installLibtorch(job({ patience: { retry: { attempts: 1 } } })))
    expect(broken).toMatchObject({ code: 'ERR_LIBTORCH_DOWNLOAD', message: expect.stringContaining('is kept') })
    expect(visible()).toEqual([])
    server.fault = () => undefined
    server.requests.length = 0
    await installLibtorch(job())
    expect(server.downloads()[0]!.from).toBeGreaterThan(100_000)
    expectWhole()

    store = path.join(root, 'corrupt')
    server.fault = () => ({ corrupt: true })
    const error = await rejection(installLibtorch(job()))
    expect(error).toMatchObject({ code: 'ERR_DOWNLOAD_CORRUPT', message: expect.stringContaining('libtorch.zip') })
    expect(visible()).toEqual([])
  })

  it('is given up at once by a signal, and what came is kept', async () => {
    server.fault = () => ({ trickle: { bytes: 20_000, pause: 10 } })
    const stop = new AbortController()
    const onProgress = ({ bytes }: { bytes: number }) => bytes > 0 && stop.abort(new Error('enough'))
    const error = await rejection(installLibtorch(job({ signal: stop.signal, onProgress })))
    expect(error).toMatchObject({ code: 'ABORT_ERR' })
    expect(filesBelow(store).some((name) => name.endsWith('.partial'))).toBe(true)
    expect(visible()).toEqual([])
  })

  it('that does not pass its trial never gets its name', async () => {
    const test = async (folder: string) => {
      expect(existsSync(`${folder}/libtorch/lib/libtorch.so`)).toBe(true)
      throw new Error('it crashed')
    }
    expect(await rejection(installLibtorch(job({ test })))).toMatchObject({ code: 'ERR_LIBTORCH_DOWNLOAD' })
    expect(readdirSync(store).filter((name) => name.includes('2.13.0') || name.includes('unpacking'))).toEqual([])
  })

  it.each<[string, Record<string, string>]>([
    ['leads out of the folder', { '../evil': 'x' }],
    ['is a link', { 'libtorch/lib/libevil.so@': '/etc/passwd' }],
  ])('with an entry that %s is refused', async (_name, entries) => {
    // yazl refuses such a name as well, so it is put in afterwards, in the place of one of the same length.
    const names = Object.keys(entries)
    const harmless = Object.fromEntries(names.map((name) => [name.replace('../', 'ab/'), entries[name]!]))
    const evil = await zip({ 'libtorch/lib/libtorch.so': 'x', ...harmless })
    if (names[0]!.startsWith('..')) {
      for (let at = evil.indexOf('ab/evil'); at >= 0; at = evil.indexOf('ab/evil')) evil.write('../', at)
    }
    server.add('torch', 'evil.zip', evil)
    const source = {
      kind: 'archive',
      url: `${server.index}/torch/evil.zip`,
      bytes: evil.length,
      sha256: sha256(evil),
    } as const
    expect(await rejection(installLibtorch(job({ source })))).toMatchObject({ code: 'ERR_DOWNLOAD_CORRUPT' })
    expect(visible()).toEqual([])
    expect(existsSync(path.join(root, 'evil'))).toBe(false)
  })
})

describe('wheels', () => {
  const needs = [
    "nvidia-cuda-runtime-cu12==12.6.77; platform_system == 'Linux' and platform_machine == 'x86_64'",
    'nvidia-cublas-cu12 (==12.6.4.1) ; platform_system == "Linux"',
    'nvidia-odd-cu12==1.0; platform_system == "Windows"',
  ]
  async function fill(): Promise<void> {
    server.add(
      'torch',
      'torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl',
      await torchWheel('2.13.0', [], noise(9, 1)),
    )
    for (const python of ['cp310', 'cp313'])
      server.add(
        'torch',
        `torch-2.13.0+cu126-${python}-${python}-manylinux_2_28_x86_64.whl`,
        await torchWheel('2.13.0+cu126', needs, library, { [`torch/lib/lib${python}.so`]: '' }),
      )
    server.add('torch', 'torch-2.13.0+cu126-cp313-cp313-manylinux_2_28_aarch64.whl', Buffer.from('arm'))
    server.add(
      'nvidia-cuda-runtime-cu12',
      'nvidia_cuda_runtime_cu12-12.6.77-py3-none-manylinux2014_x86_64.whl',
      await nvidiaWheel('cudart'),
    )
    server.add(
      'nvidia-cuda-runtime-cu12',
      'nvidia_cuda_runtime_cu12-12.8.57-py3-none-manylinux2014_x86_64.whl',
      Buffer.from('newer'),
    )
    server.add(
      'nvidia-cublas-cu12',
      'nvidia_cublas_cu12-12.6.4.1-py3-none-manylinux2014_x86_64.whl',
      await nvidiaWheel('cublas'),
    )
  }

  it.each([
    [false, false],
    [false, true],
    [true, true],
    [true, false],
  ])('bring torch and its companions (JSON: %s, metadata apart: %s)', async (json, metadata) => {
    await fill()
    server.style = { json, metadata, hashes: true }
    const { folder } = await installLibtorch(job({ source: wheels(), flavour: 'cu126' }))
    expect(filesBelow(folder)).toEqual([
      'licences/nvidia_cublas_cu12-12.6.1.dist-info/License.txt',
      'licences/nvidia_cudart_cu12-12.6.1.dist-info/License.txt',
      'licences/torch-2.13.0+cu126.dist-info/licenses/LICENSE',
      'nvidia/cublas/lib/libcublas.so.12',
      'nvidia/cudart/lib/libcudart.so.12',
      'torch/include/ATen/ATen.h',
      'torch/lib/libc10.so',
      'torch/lib/libcp313.so',
      'torch/lib/libtorch.so',
      'torch/version.py',
    ])
    expect(visible()).toEqual(['2.13.0+cu126'])
    expect(server.downloads()).toHaveLength(3)
  })

  it('of another CUDA are refused by their metadata, before they are downloaded where that is possible', async () => {
    const wheel = await torchWheel('2.13.0', ['nvidia-cuda-runtime==13.0.96; platform_system == "Linux"'], library)
    server.add('torch', 'torch-2.13.0-cp313-cp313-manylinux_2_28_x86_64.whl', wheel)
    for (const metadata of [true, false]) {
      server.requests.length = 0
      server.style = { json: true, metadata, hashes: true }
      const error = await rejection(installLibtorch(job({ source: wheels(), flavour: 'cu126' })))
      expect(error).toMatchObject({
        code: 'ERR_LIBTORCH_DOWNLOAD',
        message: expect.stringContaining('is for cu130, not for cu126'),
      })
      expect(server.downloads()).toHaveLength(metadata ? 0 : 1)
    }
    expect(visible()).toEqual([])
  })

  it('that an index lacks, or cannot vouch for, are no secret, but its password is', async () => {
    await fill()
    const secret = server.index.replace('//', '//me:secret@')
    const source = { kind: 'wheels', indexes: [secret] } as const
    await installLibtorch(job({ source, flavour: 'cu126' }))
    expect(server.requests.map(({ authorization }) => authorization)).toContain(`Basic ${btoa('me:secret')}`)
    const missing = await rejection(installLibtorch(job({ source, version: '2.12.1', flavour: 'cu126' })))
    expect(missing).toMatchObject({
      code: 'ERR_LIBTORCH_DOWNLOAD',
      message: expect.stringContaining(`torch 2.12.1 for cu126 on Linux x64 is not in ${server.index}`),
    })
    expect((missing as Error).message).not.toContain('secret')
    server.style = { json: false, metadata: false, hashes: false }
    store = path.join(root, 'unsigned')
    expect(await rejection(installLibtorch(job({ source: wheels(), flavour: 'cu126' })))).toMatchObject({
      code: 'ERR_LIBTORCH_DOWNLOAD',
      message: expect.stringContaining('no SHA-256'),
    })
  })

  it('that do not fit on the disk are not begun', async () => {
    await fill()
    server.style = { json: true, metadata: true, hashes: true, sizes: 9e15 }
    const error = await rejection(installLibtorch(job({ source: wheels(), flavour: 'cu126' })))
    expect(error).toMatchObject({ code: 'ERR_DISK_FULL', fix: expect.stringContaining('SAM3_LIBTORCH_DIR') })
    expect((error as Error).message).not.toContain('SAM3_CACHE_DIR')
    expect(server.downloads()).toEqual([])
  })
})

describe('processes', () => {
  function start(): ChildProcess {
    const script = `import { installLibtorch } from ${JSON.stringify(module)}
      await installLibtorch(${JSON.stringify({ version: '2.13.0', flavour: 'cpu', source: archiveSource(), store })})`
    return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' })
  }
  const ended = (child: ChildProcess) =>
    new Promise<string>((resolve) => child.once('close', (code, signal) => resolve(signal ?? String(code))))

  it('that are killed leave nothing half, and the next one goes on', async () => {
    const random = seededRandom(11)
    for (let round = 0; round < 8; round++) {
      const at = Math.floor(random() * archive.length * 1.3) // the last ones die while unpacking, or not at all
      let child: ChildProcess | undefined
      server.fault = () => ({
        trickle: { bytes: 30_000, pause: 2 },
        at: { bytes: at, call: () => child?.kill('SIGKILL') },
      })
      child = start()
      if (at > archive.length) setTimeout(() => child?.kill('SIGKILL'), 350 + random() * 250)
      await ended(child)
      for (const name of visible()) {
        expect(readFileSync(`${store}/${name}/libtorch/lib/libtorch.so`).equals(library)).toBe(true)
        rmSync(`${store}/${name}`, { recursive: true })
      }
    }
    server.fault = () => undefined
    await installLibtorch(job())
    expectWhole()
  })

  it('that start together download once', async () => {
    server.fault = () => ({ trickle: { bytes: 50_000, pause: 5 } })
    expect(await Promise.all([start(), start(), start()].map(ended))).toEqual(['0', '0', '0'])
    expectWhole()
    expect(server.downloads()).toHaveLength(1)
  })
})
