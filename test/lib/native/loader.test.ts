/** The loader: what it refuses, and what it makes of an NVIDIA driver, for which a library of our own stands in. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { repositoryRoot } from '../../support/paths.js'

const run = promisify(execFile)
const folder = mkdtempSync(path.join(tmpdir(), 'sam3-loader-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What `expression` gives with the loader as `loader`, in a process of its own with this folder searched for libraries. */
async function evaluate(expression: string, libraries = folder): Promise<unknown> {
  const script = `
    const loader = require(${JSON.stringify(`${repositoryRoot}/build/Release/sam3_loader.node`)})
    const refused = (path) => { try { loader.open(path); return null } catch (e) { return { code: e.code, message: e.message, fix: e.fix } } }
    console.log(JSON.stringify(${expression}))`
  const { stdout } = await run(process.execPath, ['-e', script], {
    env: { ...process.env, LD_LIBRARY_PATH: libraries },
  })
  return JSON.parse(stdout)
}

/** A folder with a libcuda.so.1 of this C source. */
async function driver(name: string, source: string): Promise<string> {
  const target = mkdtempSync(path.join(folder, `${name}-`))
  writeFileSync(path.join(target, 'cuda.c'), `#include <stddef.h>\n#include <string.h>\n${source}`)
  await run('cc', ['-shared', '-fPIC', '-o', path.join(target, 'libcuda.so.1'), path.join(target, 'cuda.c')])
  return target
}

const working = `
  int cuInit(unsigned flags) { return flags; }
  int cuDriverGetVersion(int* v) { *v = 12060; return 0; }
  int cuDeviceGetCount(int* n) { *n = 3; return 0; }
  int cuDeviceGet(int* d, int i) { *d = 10 + i; return i == 1; }
  int cuDeviceGetName(char* name, int bytes, int d) { strncpy(name, d == 10 ? "Alpha" : "Gamma", bytes); return 0; }
  int cuDeviceTotalMem_v2(size_t* bytes, int d) { *bytes = (size_t)d << 30; return 0; }
  int cuDeviceGetAttribute(int* value, int what, int d) { *value = what == 75 ? 9 : what == 76 ? d - 10 : -1; return 0; }`

describe('open', () => {
  it('refuses what is no absolute path', async () => {
    for (const path of ['undefined', '5', '"libm.so.6"', '""', '"/lib\\0/x"'])
      expect(await evaluate(`refused(${path})`)).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
  })
  it('tells which library could not be loaded, why, and what to do', async () => {
    const error = (await evaluate('refused("/no/where/libtorch.so")')) as Record<'code' | 'message' | 'fix', string>
    expect(error.code).toBe('ERR_LIBTORCH_LOAD')
    expect(error.message).toMatch(/^\/no\/where\/libtorch\.so could not be loaded: .*No such file or directory\.$/)
    expect(error.fix).toMatch(/LIBTORCH/)
  })
})

describe('probeGpu', () => {
  it('finds nothing where there is no driver, or an unusable one', async () => {
    const nothing = { driver: null, devices: [] }
    expect(await evaluate('loader.probeGpu()', await driver('foreign', 'int other(void) { return 0; }'))).toEqual(
      nothing,
    )
    const broken = 'int cuDriverGetVersion(int* v) { *v = 0; return 999; }'
    const source = working.replace(/int cuDriverGetVersion.*/, broken)
    expect(await evaluate('loader.probeGpu()', await driver('broken', source))).toEqual(nothing)
  })
  it('names the driver where it has no GPU', async () => {
    const source = working.replace('return flags;', 'return 100;')
    expect(await evaluate('loader.probeGpu()', await driver('none', source))).toEqual({ driver: '12.6', devices: [] })
  })
  it('describes every GPU that answers', async () => {
    expect(await evaluate('loader.probeGpu()', await driver('working', working))).toEqual({
      driver: '12.6',
      devices: [
        { name: 'Alpha', memory: 10 * 2 ** 30, capability: '9.0' },
        { name: 'Gamma', memory: 12 * 2 ** 30, capability: '9.2' },
      ],
    })
  })
})
