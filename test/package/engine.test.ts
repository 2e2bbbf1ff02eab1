/** The built engine and the package's manifest, as what is published must be. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { runProgram } from '../support/hub-server/sandbox.js'
import { repositoryRoot } from '../support/paths.js'

const read = (name: string) => readFileSync(`${repositoryRoot}/${name}`, 'utf8')
const check = (...args: string[]) =>
  runProgram(process.execPath, [`${repositoryRoot}/scripts/check-engine.mjs`, ...args], process.env)

it('the engine asks for LibTorch and the C++ library, for no CUDA library and no folder', async () => {
  const { stdout, stderr, code } = await check('--json')
  expect(code, stderr).toBe(0)
  const { facts } = JSON.parse(stdout)
  expect(facts['libsam3_engine.so'].needed).toEqual(expect.arrayContaining(['libtorch_cpu.so', 'libc10.so']))
  expect(facts['libsam3_engine.so'].needed).not.toContain('libtorch_cuda.so')
  expect(facts['sam3_loader.node'].needed.filter((name: string) => name.includes('torch'))).toEqual([])
  const tooNew = await check('--max-glibc', '2.1')
  expect(tooNew).toMatchObject({ code: 1, stderr: expect.stringMatching(/needs glibc 2\.\d+, newer than 2\.1/) })
})

it('nothing runs when the package is installed, and what it holds is listed', () => {
  const manifest = JSON.parse(read('package.json'))
  const scripts = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']
  expect(Object.keys(manifest.scripts).filter((name) => scripts.includes(name))).toEqual([])
  expect(manifest).toMatchObject({ os: ['linux'], cpu: ['x64'], libc: ['glibc'] })
  expect(manifest.version).toMatch(/^\d+\.\d+\.\d+$/)
  expect(read('CHANGELOG.md')).toMatch(/^## (?:Unreleased|\[?\d+\.\d+\.\d+)/m)
  for (const entry of manifest.files) expect(entry).not.toMatch(/^(?:lib|test|native|scripts|\*)/)
})

it('the tool that builds, the docs and the table of sources name one LibTorch', () => {
  const version = /^torch==([\d.]+)$/m.exec(read('requirements.txt'))![1]!
  expect(read('lib/libtorch/sources.ts')).toContain(`'${version}+cpu'`)
  expect(read('Dockerfile')).toContain(`pytorch:${version}-cuda12.6`)
})
