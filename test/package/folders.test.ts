/** The package works from a folder of any name, as ES module, as CommonJS, in a thread and on the command line. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installInto } from '../support/installed.js'

const run = promisify(execFile)
const root = mkdtempSync(path.join(tmpdir(), 'sam3-folders-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

// What means something in an address, a shell or a pattern; what is no ASCII. (A backslash and * Node itself refuses.)
const NAMES = ['c#app', 'a%20b', 'a%2Fb', '100%', 'q?x=1&y', '模型 ü', "it's `$HOME`", '[a-z]{1,2}']
const folders = NAMES.map((name) => path.join(root, name, 'node_modules', 'sam3-node'))
beforeAll(() => folders.forEach(installInto))

// Loading opens what lies beside the code: engine, network, weights; drawing, a file of a dependency.
const TRY = `
  const image = { width: 32, height: 20, channels: 3, data: new Uint8Array(32 * 20 * 3) }
  async function works({ buildSam3ImageModel, Mask, overlay }) {
    try {
      const model = await buildSam3ImageModel({ model: 'demo', device: 'cpu' })
      await model.dispose()
      const box = [0, 0, 32, 20]
      const mask = new Mask(32, 20, Uint32Array.of(0, 640), 640, box)
      return (await overlay(image, [{ mask, box, label: 'a', score: 1 }])).length > 50
    } catch (error) {
      return error.message
    }
  }`

/** What each folder says, in one process, since opening LibTorch is what takes time. */
async function answers(program: string, ...args: string[]): Promise<unknown> {
  const { stdout } = await run(process.execPath, [...args, '-e', program], { cwd: '/' })
  return JSON.parse(stdout)
}

const all = NAMES.map((name) => [name, true])

describe('from folders of any name', () => {
  it('by require', async () => {
    const entries = folders.map((folder, index) => [NAMES[index], `${folder}/dist/index.cjs`])
    const program = `${TRY}
      async function main() {
        const said = []
        for (const [name, file] of ${JSON.stringify(entries)}) said.push([name, await works(require(file))])
        console.log(JSON.stringify(said))
      }
      main()`
    expect(await answers(program)).toEqual(all)
  })

  it('by import', async () => {
    const entries = folders.map((folder, index) => [NAMES[index], pathToFileURL(`${folder}/dist/index.js`).href])
    const program = `${TRY}
      const said = []
      for (const [name, file] of ${JSON.stringify(entries)}) said.push([name, await works(await import(file))])
      console.log(JSON.stringify(said))`
    expect(await answers(program, '--input-type=module')).toEqual(all)
  })

  it('by require in a thread, by the name of the package', async () => {
    const some = ['c#app', '100%']
    for (const name of some) {
      const program = `${TRY}
        works(require('sam3-node')).then((said) => require('node:worker_threads').parentPort.postMessage(said))`
      writeFileSync(path.join(root, name, 'thread.cjs'), program)
    }
    const files = some.map((name) => path.join(root, name, 'thread.cjs'))
    const program = `
      import { Worker } from 'node:worker_threads'
      const said = []
      for (const file of ${JSON.stringify(files)}) {
        said.push(await new Promise((resolve, reject) => new Worker(file).once('message', resolve).once('error', reject)))
      }
      console.log(JSON.stringify(said))`
    expect(await answers(program, '--input-type=module')).toEqual(some.map(() => true))
  })

  it('on the command line', async () => {
    const { stdout } = await run(process.execPath, [`${folders[3]}/dist/cli.js`, 'cache', 'ls'], {
      env: { PATH: process.env.PATH, HOME: root },
    })
    expect(stdout).toContain(`${folders[3]}/models (the default: models/ of the package)`)
  })
})
