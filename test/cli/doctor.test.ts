/** What `doctor` says about the machine, and `inspect gpu` about GPUs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { judgeMachine } from '../../lib/cli/doctor/judgement.js'
import { dtypesOf, lookAtMachine, type Machine, toReport } from '../../lib/cli/doctor/machine.js'
import { Sam3EnvironmentError } from '../../lib/base/errors.js'
import { runHere } from '../support/command-line.js'
import { bundle, removeBundles, runProgram } from '../support/hub-server/sandbox.js'
import { sharedLibrary } from '../support/shared-library.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-doctor-'))
let program = ''
let machine: Machine
beforeAll(async () => {
  program = await bundle('lib/cli/main.ts')
  machine = await lookAtMachine()
})
afterAll(async () => {
  await removeBundles()
  rmSync(folder, { recursive: true, force: true })
})

const environment = (more: NodeJS.ProcessEnv) => ({
  PATH: process.env.PATH,
  HOME: folder,
  HF_HUB_OFFLINE: '1',
  LIBTORCH: process.env.LIBTORCH,
  ...more,
})
const run = (args: string[], env: NodeJS.ProcessEnv = {}) =>
  runProgram(process.execPath, [program, ...args], environment(env))

const gpu = { name: 'NVIDIA X', memory: 80e9, capability: '9.0', dtypes: dtypesOf('9.0') }
const works = {
  torch: '2.13.0',
  cuda: true,
  devices: ['cpu', 'cuda:0'],
  cpuCapability: 'AVX2',
  threads: 8,
  kernels: { 'cuda:0': '' },
}
const healthy: Machine = {
  version: '1.2.3',
  node: { version: '22.1.0', napi: '9' },
  system: { platform: 'linux', arch: 'x64', kernel: '6.1', glibc: '2.36' },
  cpu: { model: 'CPU', threads: 8, memory: 64e9, dtypes: { float32: 'fast', bfloat16: 'slow', float16: 'slow' } },
  engine: { path: '/e.so', torch: '2.13.0', glibc: '2.28', glibcxx: '3.4.22' },
  libtorch: { folder: '/l', version: '2.13.0+cu126', cuda: '12.6' },
  opened: works,
  gpu: { driver: '560.35', cuda: '12.6', devices: [gpu] },
}
const missing = new Sam3EnvironmentError('ERR_LIBTORCH_NOT_FOUND', 'There is none.', { fix: 'Get one.' })

describe('doctor', () => {
  it('finds nothing wrong with a machine that has everything', () => {
    const findings = judgeMachine(healthy)
    expect(findings.map(({ state }) => state)).toEqual(findings.map(() => 'ok'))
    const text = findings.map((finding) => `${finding.subject} ${finding.text}`).join('\n')
    for (const fact of ['22.1.0', 'glibc 2.36', 'for CUDA 12.6', 'driver 560.35, serves CUDA 12.6', '80.0 GB', '9.0'])
      expect(text).toContain(fact)
    expect(text).toContain("dtype 'auto' is bfloat16")
    expect(text).toContain('kernels cuda:0: compiled')
  })

  it.each<[string, Partial<Machine>, string, string, RegExp]>([
    ['an old Node', { node: { version: '18.1.0', napi: '9' } }, 'problem', 'node', /Install Node 20/],
    ['Alpine', { system: { ...healthy.system, glibc: null } }, 'problem', 'system', /not of Alpine/],
    ['another system', { system: { ...healthy.system, platform: 'darwin' } }, 'problem', 'system', /WSL2/],
    ['an old glibc', { system: { ...healthy.system, glibc: '2.9' } }, 'problem', 'system', /needs glibc 2\.28/],
    [
      'no engine',
      { engine: { error: missing }, libtorch: { error: missing }, opened: null },
      'problem',
      'engine',
      /Get/,
    ],
    ['no LibTorch', { libtorch: { error: missing }, opened: null }, 'problem', 'libtorch', /Get one/],
    ['an engine that does not open', { opened: { error: missing } }, 'problem', 'engine', /Get one/],
    ['no driver', { gpu: { driver: null, cuda: null, devices: [] }, opened: null }, 'note', 'gpu', /525 or newer/],
    [
      'an old driver',
      { gpu: { driver: '470.1', cuda: '11.4', devices: [gpu] }, opened: { ...works, cuda: false } },
      'note',
      'gpu',
      /newer NVIDIA driver/,
    ],
    [
      'a LibTorch for the CPU beside a GPU',
      {
        libtorch: { folder: '/l', version: '2.13.0+cpu', cuda: null },
        opened: { ...works, cuda: false, devices: ['cpu'] },
      },
      'note',
      'gpu',
      /libtorch install --flavour cu126/,
    ],
    [
      'a GPU without NVRTC',
      { opened: { ...works, kernels: { 'cuda:0': 'NVRTC was not found' } } },
      'note',
      'kernels',
      /comes with a LibTorch for CUDA; SAM3_NVRTC names another/,
    ],
    ['a hidden GPU', { opened: { ...works, cuda: false } }, 'problem', 'gpu', /CUDA_VISIBLE_DEVICES/],
  ])('has a fix for %s', (_name, change, state, subject, fix) => {
    const found = judgeMachine({ ...healthy, ...change }).filter((finding) => finding.state !== 'ok')
    expect(found).toContainEqual(expect.objectContaining({ state, subject, fix: expect.stringMatching(fix) }))
  })

  it('looks at this machine: the engine opens in another process', () => {
    expect(machine.opened).toMatchObject({
      torch: expect.stringMatching(/^2\./),
      devices: expect.arrayContaining(['cpu']),
      kernels: {},
    })
    expect(machine.system.glibc).toMatch(/^2\.\d+$/)
    expect(judgeMachine(machine).filter(({ state }) => state === 'problem')).toEqual([])
  })

  it('prints it all as JSON for a bug report, without the name of the home folder', async () => {
    const { stdout, code } = await run(['doctor', '--json'])
    expect(code).toBe(0)
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({
      node: { version: process.versions.node },
      system: machine.system,
      gpu: { devices: [] },
    })
    expect(report.findings.map(({ subject }: { subject: string }) => subject)).toEqual(
      expect.arrayContaining([
        'node',
        'system',
        'engine',
        'libtorch',
        'gpu',
        'dtype',
        'ffmpeg',
        'ffprobe',
        'model',
        'disk',
      ]),
    )
    expect(toReport({ path: '/home/me/x', error: missing }, '/home/me')).toBe(
      JSON.stringify({ path: '~/x', error: { code: missing.code, message: missing.message } }, null, 2),
    )
    const broken = await runHere(['doctor', '--json'], { env: environment({ LIBTORCH: '/nowhere' }) })
    expect(broken.code).toBe(1)
    expect(JSON.parse(broken.stdout).libtorch.error).toMatchObject({ code: 'ERR_LIBTORCH_NOT_FOUND' })
  })
})

describe('inspect gpu', () => {
  it('says that there is none, or lists what a driver has', async () => {
    expect((await run(['inspect', 'gpu'])).stdout).toMatch(
      /^driver {2}none\nCUDA 12\.6 cannot be used: no NVIDIA driver/,
    )
    const source = `#include <stddef.h>
      #include <string.h>
      int cuInit(unsigned f) { return f; } int cuDriverGetVersion(int* v) { *v = 12060; return 0; }
      int cuDeviceGetCount(int* n) { *n = 1; return 0; } int cuDeviceGet(int* d, int i) { *d = i; return 0; }
      int cuDeviceGetName(char* name, int bytes, int d) { strncpy(name, "NVIDIA T4", bytes); return d; }
      int cuDeviceTotalMem_v2(size_t* bytes, int d) { *bytes = 16000000000; return d; }
      int cuDeviceGetAttribute(int* v, int what, int d) { *v = what == 75 ? 7 : 5; return d; }`
    writeFileSync(path.join(folder, 'libcuda.so.1'), sharedLibrary(source))
    const env = { LD_LIBRARY_PATH: folder }
    const { stdout } = await run(['inspect', 'gpu'], env)
    expect(stdout).toMatch(
      /serves CUDA 12\.6\ncuda:0 {2}NVIDIA T4, 16\.0 GB, compute capability 7\.5, .*\(slow: bfloat16\)/,
    )
    expect(JSON.parse((await run(['inspect', 'gpu', '--json'], env)).stdout)).toMatchObject({
      cuda: '12.6',
      usable: true,
      devices: [{ name: 'NVIDIA T4', capability: '7.5', dtypes: { bfloat16: 'slow', float16: 'fast' } }],
    })
  })
})
