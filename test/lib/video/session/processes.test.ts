/** Programs with open sessions end by themselves, worker threads too. */
import { execFile } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { goldenModels, repositoryRoot } from '../../../support/paths.js'

const packageUrl = pathToFileURL(`${repositoryRoot}/dist/index.js`).href
const prelude = `
  import { buildSam3VideoModel } from ${JSON.stringify(packageUrl)}
  const model = await buildSam3VideoModel({ model: ${JSON.stringify(goldenModels.safetensors)}, device: 'cpu', dtype: 'float32' })
  const source = { width: 64, height: 48, frameCount: 40, frameRate: 25, randomAccess: true, close: async () => {},
    frame: async (index) => ({ index, timestamp: index / 25, width: 64, height: 48, data: new Uint8Array(64 * 48 * 3).fill(index) }) }
  const session = await model.startSession(source)
  await session.addPoints({ frameIndex: 0, objectId: 1, points: [[30, 20]] })
  const results = session.propagate()
  await results.next()
`

/** Runs a program against the built package in a process of its own. */
function run(source: string): Promise<{ stdout: string; stderr: string; code: number }> {
  const child = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', source], { timeout: 60_000 })
  return child.then(
    ({ stdout, stderr }) => ({ stdout, stderr, code: 0 }),
    (error) => ({ stdout: error.stdout, stderr: error.stderr, code: error.code ?? error.signal }),
  )
}

describe('the process', () => {
  it.each([
    ['ends by itself with an open session', '', 0],
    ['ends by itself after everything was closed', 'await session.close(); await model.dispose()', 0],
    [
      'process.exit() in the middle of a step',
      'results.next().catch(() => {}); setImmediate(() => process.exit(7))',
      7,
    ],
    [
      'ends while several sessions are being closed',
      'const more = await Promise.all([1, 2, 3].map(() => model.startSession(source))); for (const one of more) one.close()',
      0,
    ],
  ])('%s', async (_name, source, code) => {
    expect(await run(prelude + source)).toEqual({ code, stdout: '', stderr: '' })
  })

  it('a worker thread with a running propagation can be terminated, and ends by itself', async () => {
    const result = await run(`
      import { Worker } from 'node:worker_threads'
      const source = ${JSON.stringify(`import { parentPort } from 'node:worker_threads'; ${prelude}`)}
      const start = (tail) => new Worker(new URL('data:text/javascript,' + encodeURIComponent(source + tail)))
      const post = "parentPort.postMessage('stepped');"
      for (let round = 0; round < 3; round++) {
        const worker = start(post + 'for await (const _ of results);')
        await new Promise((resolve, reject) => { worker.on('message', resolve); worker.on('error', reject) })
        await new Promise((resolve) => setTimeout(resolve, 20 * round))
        await worker.terminate()
      }
      const workers = [start(post), start(post)]
      console.log(JSON.stringify(await Promise.all(workers.map((worker) => new Promise((resolve) => worker.on('exit', resolve))))))
    `)
    expect(result).toEqual({ code: 0, stderr: '', stdout: '[0,0]\n' })
  })
})
