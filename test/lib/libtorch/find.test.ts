/** Where LibTorch is looked for, and what is said when it is not there or of another version. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { findLibtorch, type LibtorchQuery, libtorchVersion } from '../../../lib/libtorch/find.js'
import { goldenModels, repositoryRoot } from '../../support/paths.js'
import { CRASHING, sharedLibrary } from '../../support/shared-library.js'

const enginesTorch: string = JSON.parse(readFileSync(`${repositoryRoot}/build/Release/sam3_engine.json`, 'utf8')).torch
const folder = mkdtempSync(path.join(tmpdir(), 'sam3-libtorch-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A folder that looks like a LibTorch of the given version. */
function fake(name: string, version: string | undefined, kind: 'python' | 'zip' | 'headers' = 'python'): string {
  const target = path.join(folder, name)
  mkdirSync(path.join(target, 'lib'), { recursive: true })
  writeFileSync(path.join(target, 'lib', 'libtorch.so'), '')
  if (version === undefined) return target
  if (kind === 'python')
    writeFileSync(path.join(target, 'version.py'), `from typing import Optional\n__version__ = '${version}'\n`)
  if (kind === 'zip') writeFileSync(path.join(target, 'build-version'), `${version}\n`)
  if (kind === 'headers') {
    const include = path.join(target, 'include/torch/headeronly')
    mkdirSync(include, { recursive: true })
    const [major, minor, patch] = version.split('.')
    const lines = [`MAJOR ${major}`, `MINOR ${minor}`, `PATCH ${patch}`].map(
      (line) => `#define TORCH_VERSION_${line}\n`,
    )
    writeFileSync(path.join(include, 'version.h'), lines.join(''))
  }
  return target
}

// No PATH: the python3 of the machine must not take part.
const nowhere = { PATH: '', XDG_CACHE_HOME: path.join(folder, 'cache') }
const query = (changes: Partial<LibtorchQuery>): LibtorchQuery => ({
  required: '2.13.0',
  packageRoot: path.join(folder, 'package'),
  python: 'no-such-python',
  env: nowhere,
  ...changes,
})
const error = (code: string, ...parts: string[]) =>
  expect.objectContaining({
    code,
    message: expect.stringMatching(new RegExp(parts.join('.*'), 's')),
    fix: expect.stringMatching(/\S/),
  })

describe('findLibtorch', () => {
  const right = fake('right', '2.13.0+cpu')
  const wrong = fake('wrong', '2.12.1+cpu')

  it('takes the option first, then LIBTORCH, then what the build recorded', () => {
    const env = { ...nowhere, LIBTORCH: fake('from-env', '2.13.0') }
    const recorded = fake('recorded', '2.13.0')
    expect(findLibtorch(query({ explicit: right, env, recorded })).folder).toBe(right)
    expect(findLibtorch(query({ env, recorded })).folder).toBe(env.LIBTORCH)
    expect(findLibtorch(query({ recorded })).folder).toBe(recorded)
    expect(findLibtorch(query({ recorded })).library).toBe(path.join(recorded, 'lib', 'libtorch.so'))
  })

  it("then the package's .venv, what was installed, and the active environment", () => {
    const own = fake('package/.venv/lib/python3.11/site-packages/torch', '2.13.0+cu126')
    expect(findLibtorch(query({}))).toMatchObject({ folder: own, version: '2.13.0+cu126' })
    const elsewhere = query({ packageRoot: path.join(folder, 'other') })
    const active = fake('venv/lib/python3.12/site-packages/torch', '2.13.0')
    const inVenv = { ...elsewhere, env: { ...nowhere, VIRTUAL_ENV: path.join(folder, 'venv') } }
    expect(findLibtorch(inVenv).folder).toBe(active)
    const store = 'cache/sam3-node/libtorch'
    const cpu = fake(`${store}/2.13.0+cpu/libtorch`, '2.13.0+cpu', 'zip')
    expect(findLibtorch(inVenv).folder).toBe(cpu)
    // Two flavours: the one that suits the machine, which is asked only now.
    fake(`${store}/2.12.1+cu126/torch`, '2.12.1+cu126')
    const never = () => expect.fail('the machine was asked')
    expect(findLibtorch({ ...inVenv, cuda: never }).folder).toBe(cpu)
    const cuda = fake(`${store}/2.13.0+cu126/torch`, '2.13.0+cu126')
    expect(findLibtorch({ ...elsewhere, cuda: () => true }).folder).toBe(cuda)
    expect(findLibtorch({ ...elsewhere, cuda: () => false }).folder).toBe(cpu)
    // A link leads to where it really lies, as LibTorch finds its companions from there.
    rmSync(path.join(folder, 'cache'), { recursive: true })
    mkdirSync(path.join(folder, store), { recursive: true })
    symlinkSync(right, path.join(folder, store, '2.13.0+cpu'))
    symlinkSync('/nowhere', path.join(folder, store, '2.13.0+cu126'))
    expect(findLibtorch(elsewhere).folder).toBe(right)
    rmSync(path.join(folder, 'cache'), { recursive: true })
  })

  it('accepts the folder, its lib, or the folder around it', () => {
    const outer = path.dirname(fake('outer/libtorch', '2.13.0', 'zip'))
    for (const explicit of [right, path.join(right, 'lib')])
      expect(findLibtorch(query({ explicit })).folder).toBe(right)
    expect(findLibtorch(query({ explicit: outer })).folder).toBe(path.join(outer, 'libtorch'))
  })

  it('refuses another version before it is opened', () => {
    expect(() => findLibtorch(query({ explicit: wrong }))).toThrow(
      error('ERR_LIBTORCH_VERSION', '2\\.13\\.0', '2\\.12\\.1'),
    )
    expect(() => findLibtorch(query({ env: { ...nowhere, LIBTORCH: wrong } }))).toThrow(
      error('ERR_LIBTORCH_VERSION', 'LIBTORCH'),
    )
    expect(() => findLibtorch(query({ explicit: fake('silent', undefined) }))).toThrow(
      error('ERR_LIBTORCH_VERSION', 'does not say'),
    )
  })

  it('passes over other versions in places that nobody chose, and names them when nothing fits', () => {
    const other = query({ packageRoot: path.join(folder, 'third'), recorded: wrong })
    expect(() => findLibtorch(other)).toThrow(error('ERR_LIBTORCH_VERSION', 'only other versions', '2\\.12\\.1'))
    const active = fake('fourth/lib/python3.12/site-packages/torch', '2.13.0')
    expect(findLibtorch({ ...other, env: { ...nowhere, VIRTUAL_ENV: path.join(folder, 'fourth') } }).folder).toBe(
      active,
    )
  })

  it('says where it looked when there is none', () => {
    const none = query({ packageRoot: path.join(folder, 'empty') })
    expect(() => findLibtorch(none)).toThrow(
      error('ERR_LIBTORCH_NOT_FOUND', 'LIBTORCH', 'Run npx sam3-node libtorch install, or'),
    )
    expect(() => findLibtorch(query({ explicit: folder }))).toThrow(error('ERR_LIBTORCH_NOT_FOUND', 'option libtorch'))
    expect(() => findLibtorch(query({ env: { ...nowhere, LIBTORCH: '/nowhere' } }))).toThrow(
      error('ERR_LIBTORCH_NOT_FOUND', '/nowhere'),
    )
  })
})

describe('a process with the wrong LIBTORCH', () => {
  it.each([
    ['another version', () => fake('env-wrong', '2.12.1+cpu'), 'ERR_LIBTORCH_VERSION'],
    ['a folder without one', () => folder, 'ERR_LIBTORCH_NOT_FOUND'],
    ['a library that cannot be opened', () => fake('env-broken', enginesTorch), 'ERR_LIBTORCH_LOAD'],
    [
      'a library that kills whoever opens it',
      () => {
        const target = fake('env-crash', enginesTorch)
        writeFileSync(path.join(target, 'lib/libtorch.so'), sharedLibrary(CRASHING))
        return target
      },
      'ERR_LIBTORCH_LOAD',
    ],
  ])('%s: a typed error, and the process lives', async (_name, libtorch, code) => {
    const program = `
      import { buildSam3ImageModel } from ${JSON.stringify(`${repositoryRoot}/dist/index.js`)}
      const error = await buildSam3ImageModel({ model: ${JSON.stringify(goldenModels.safetensors)} }).catch((e) => e)
      console.log(JSON.stringify({ name: error.name, code: error.code, fix: error.fix }))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, LIBTORCH: libtorch() },
    })
    expect(JSON.parse(stdout)).toEqual({ name: 'Sam3EnvironmentError', code, fix: expect.stringMatching(/\S/) })
  })
})

describe('libtorchVersion', () => {
  it.each(['python', 'zip', 'headers'] as const)('reads it from a %s folder', (kind) => {
    expect(libtorchVersion(fake(`version-${kind}`, '2.13.0', kind))).toBe('2.13.0')
  })
})
