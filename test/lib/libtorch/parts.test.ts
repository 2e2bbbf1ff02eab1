/** The parts of the installer that need no server: sources, pip's configuration, metadata, the choice of a flavour. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { chooseFlavour } from '../../../lib/libtorch/flavour.js'
import { pipIndexes } from '../../../lib/libtorch/pip-config.js'
import { FLAVOURS, officialSource } from '../../../lib/libtorch/sources.js'
import { wanted } from '../../../lib/libtorch/unpack.js'
import { companionsOf, flavourOf } from '../../../lib/libtorch/wheels.js'

const home = mkdtempSync(path.join(tmpdir(), 'sam3-parts-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

describe('sources', () => {
  it('are complete for every flavour, on one host, which a mirror replaces', () => {
    for (const flavour of FLAVOURS) {
      const source = officialSource('2.13.0', flavour, { SAM3_LIBTORCH_MIRROR: 'https://mirror.test/pytorch/' })
      if (source.kind === 'archive') expect(source.sha256).toMatch(/^[0-9a-f]{64}$/)
      const urls = source.kind === 'archive' ? [source.url] : source.indexes
      for (const url of urls) expect(url).toMatch(/^https:\/\/mirror\.test\/pytorch\/[a-z]/)
    }
    const official = officialSource('2.13.0', 'cpu', {})
    expect(official).toMatchObject({ kind: 'archive', url: expect.stringMatching(/^https:.*2\.13\.0%2Bcpu\.zip$/) })
    // A version that nobody has written down comes as wheels, whose hashes the index says.
    expect(officialSource('2.7.1', 'cpu', {}).kind).toBe('wheels')
  })
})

describe("pip's configuration", () => {
  const env = (more: Record<string, string> = {}) => ({ HOME: home, XDG_CONFIG_DIRS: `${home}/xdg`, ...more })

  it('is read from its files and variables, of which the variables win', () => {
    mkdirSync(`${home}/.config/pip`, { recursive: true })
    const text = `# mirror
[global]
index-url = https://one.test/simple/
extra-index-url =
    https://two.test/simple
    file:///srv/simple
[list]
index-url = https://wrong.test/simple`
    writeFileSync(`${home}/.config/pip/pip.conf`, text)
    expect(pipIndexes(env())).toEqual(['https://one.test/simple', 'https://two.test/simple'])
    expect(pipIndexes(env({ PIP_INDEX_URL: 'https://user:pw@three.test/simple' }))).toEqual([
      'https://user:pw@three.test/simple',
      'https://two.test/simple',
    ])
    const own = `${home}/own.conf`
    writeFileSync(own, '[install]\nindex_url: https://four.test/simple\n')
    expect(pipIndexes(env({ PIP_CONFIG_FILE: own, PIP_EXTRA_INDEX_URL: 'none' }))).toEqual(['https://four.test/simple'])
    expect(pipIndexes(env({ PIP_CONFIG_FILE: '/dev/null' }))).toEqual([])
  })
})

describe('the metadata of a wheel', () => {
  it('tells the flavour and the companions', () => {
    const old = `Requires-Dist: filelock
Requires-Dist: nvidia-cuda-runtime-cu12 (==12.6.77) ; platform_system == "Linux" and platform_machine == "x86_64"
Requires-Dist: nvidia-cudnn-cu12==9.5.1.17; platform_system == "Linux"
Requires-Dist: nvidia-nothing-cu12==1; platform_system == "Windows"
Requires-Dist: nvidia-extra==1; extra == "all"
Requires-Dist: triton==3.3.1; platform_system == "Linux"`
    expect(flavourOf(old)).toBe('cu126')
    expect(companionsOf(old)).toEqual([
      { project: 'nvidia-cuda-runtime-cu12', version: '12.6.77' },
      { project: 'nvidia-cudnn-cu12', version: '9.5.1.17' },
    ])
    expect(flavourOf('Requires-Dist: cuda-toolkit[cublas,cudart]==13.0.2; platform_system == "Linux"')).toBe('cu130')
    expect(flavourOf('Requires-Dist: filelock')).toBe('cpu')
  })
})

describe('what is unpacked', () => {
  it.each([
    ['torch/lib/libtorch_cpu.so', true],
    ['torch/lib/libgomp-a34b3233.so.1', true],
    ['libtorch/lib/libtorch.so', true],
    ['nvidia/cudnn/lib/libcudnn.so.9', true],
    ['nvidia/cu13/lib/libcublas.so.13', true],
    ['cusparselt/lib/libcusparseLt.so.0', true],
    ['torch/include/c10/core/Device.h', true],
    ['torch/lib/libtorch_python.so', false],
    ['torch/lib/libdnnl.a', false],
    ['torch/bin/protoc', false],
    ['torch/_C.cpython-311-x86_64-linux-gnu.so', false],
    ['nvidia/cudnn/include/cudnn.h', false],
    ['torch/lib/', false],
  ])('%s: %s', (name, taken) => {
    expect(wanted(name)).toBe(taken ? name : undefined)
  })
})

describe('the flavour', () => {
  const gpu = (capability: string) => ({ name: 'NVIDIA X', memory: 1, capability })
  it.each([
    [{ driver: null, devices: [] }, 'cpu', 'no NVIDIA driver'],
    [{ driver: '11.8', devices: [gpu('8.0')] }, 'cpu', 'CUDA 11.8 only'],
    [{ driver: '12.6', devices: [] }, 'cpu', 'no GPU'],
    [{ driver: '12.0', devices: [gpu('9.0')] }, 'cu126', 'NVIDIA X'],
    [{ driver: '13.0', devices: [gpu('3.5'), gpu('7.5')] }, 'cu126', 'NVIDIA X'],
    [{ driver: '12.8', devices: [gpu('12.0')] }, 'cpu', 'no code for NVIDIA X'],
  ])('for %j is %s', (gpus, flavour, reason) => {
    expect(chooseFlavour(gpus)).toEqual({ flavour, reason: expect.stringContaining(reason) })
  })
})
