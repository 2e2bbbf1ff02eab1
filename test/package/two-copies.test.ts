/** One program with several copies of the library: as ES module and as CommonJS, and installed twice. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as source from '../../lib/index.js'
import { recogniseInAllCopies } from '../../lib/base/same-class.js'
import { installInto } from '../support/installed.js'

const root = mkdtempSync(path.join(tmpdir(), 'sam3-copies-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
beforeAll(() => {
  installInto(`${root}/one`)
  installInto(`${root}/two`)
  // A LibTorch of the right version that would fail to open: who opens it is found out.
  mkdirSync(`${root}/torch/lib`, { recursive: true })
  writeFileSync(`${root}/torch/lib/libtorch.so`, 'no library')
  writeFileSync(`${root}/torch/build-version`, '2.13.0\n')
})

/** Runs a module with the copies `a` (ES module), `b` (CommonJS) and `c` (CommonJS, installed elsewhere). */
async function withCopies(program: string): Promise<unknown> {
  const file = `${root}/program.mjs`
  writeFileSync(
    file,
    `import { createRequire } from 'node:module'
    const require = createRequire(import.meta.url)
    const root = ${JSON.stringify(root)}
    const a = await import(root + '/one/dist/index.js')
    const [b, c] = [require(root + '/one/dist/index.cjs'), require(root + '/two/dist/index.cjs')]
    const image = { width: 90, height: 60, channels: 3, data: new Uint8Array(90 * 60 * 3) }
    const build = (copy, more) => copy.buildSam3ImageModel({ model: 'demo', device: 'cpu', ...more })
    const thrown = (promise) => promise.then(() => undefined, (error) => error)
    ${program}`,
  )
  const { stdout } = await promisify(execFile)(process.execPath, [file])
  return JSON.parse(stdout)
}

it('their objects and errors are recognised by one instanceof, and used across', async () => {
  const said = await withCopies(`
    const models = [await build(a), await build(b), await build(c)]
    const found = await Promise.all(models.map((model) => model.segment(image, { text: 'cat', threshold: 0, maxInstances: 1 })))
    const errors = await Promise.all(models.map((model) => thrown(model.segment('nothing.jpg', 'cup'))))
    const encoded = await models[0].encode(image)
    const mixed = await Promise.all([models[1], models[2]].map((model) => thrown(model.segment(encoded, 'cup'))))
    const mask = found[2].instances[0].mask
    const processor = new a.Sam3Processor(models[2])
    const state = await processor.setImage(image)
    const video = await c.buildSam3VideoModel({ model: 'demo', device: 'cpu' })
    const pushed = new b.PushSource()
    pushed.push(image)
    pushed.push(image)
    pushed.end()
    const session = await video.startSession(pushed)
    const drawnMask = new b.Mask(90, 60, Uint32Array.of(0, 5400), 5400, [0, 0, 90, 60])
    const { objects } = await session.addMask({ frameIndex: 0, objectId: 1, mask: drawnMask })
    console.log(JSON.stringify({
      scores: new Set(found.map(({ instances }) => instances[0].score)).size,
      masks: found.map(({ instances }) => [a, b, c].map(({ Mask }) => instances[0].mask instanceof Mask)),
      errors: errors.map((error) => [a, b, c].map((copy) => [
        error instanceof copy.Sam3Error, error instanceof copy.Sam3InputError, error instanceof copy.Sam3HubError ])),
      mixed: mixed.map((error) => [error instanceof a.Sam3InputError, error.message]),
      drawn: (await a.overlay(image, found[2].instances)).length > 100,
      coco: a.toCocoJson([{ fileName: 'x.jpg', ...image, instances: [{ ...found[1].instances[0], mask: drawnMask }] }]).annotations.length,
      models: [models[2] instanceof a.Sam3ImageModel, models[2] instanceof a.Sam3VideoModel, video instanceof a.Sam3ImageModel],
      state: [state instanceof c.ProcessorState, state.image instanceof b.EncodedImage],
      session: [session instanceof a.VideoSession, session.width, objects.length],
    }))
    for (const model of [...models, video]) await model.dispose()`)
  const each = [true, true, true]
  const another = [true, 'The image was encoded by another model. Encode it with the model that is asked.']
  expect(said).toEqual({
    scores: 1,
    masks: [each, each, each],
    errors: each.map(() => each.map(() => [true, true, false])),
    mixed: [another, another],
    drawn: true,
    coco: 1,
    models: [true, false, true],
    state: [true, true],
    session: [true, 90, 1],
  })
})

it('they share the LibTorch that the first one opened, also in another thread', async () => {
  const said = await withCopies(`
    import { Worker } from 'node:worker_threads'
    const first = await build(a)
    const explicit = await thrown(build(c, { libtorch: root + '/torch' }))
    process.env.LIBTORCH = root + '/torch'
    const second = await build(c)
    const code = \`
      const { buildSam3ImageModel } = require(\${JSON.stringify(root + '/two/dist/index.cjs')})
      buildSam3ImageModel({ model: 'demo', device: 'cpu' })
        .then((model) => model.dispose()).then(() => 'works', (error) => error.message)
        .then((said) => require('node:worker_threads').parentPort.postMessage(said))\`
    const thread = await new Promise((resolve) => new Worker(code, { eval: true }).once('message', resolve))
    console.log(JSON.stringify({ code: explicit.code, message: explicit.message, info: second.info.device, thread }))
    await Promise.all([first.dispose(), second.dispose()])`)
  expect(said).toEqual({
    code: 'ERR_INVALID_ARGUMENT',
    message: expect.stringMatching(/LibTorch is already open from .*; a process can hold only one/),
    info: 'cpu',
    thread: 'works',
  })
})

it('every public class is marked, and classes that a user derives are not mixed up', () => {
  const classes = Object.entries(source).filter(([, value]) => /^class\b/.test(Function.prototype.toString.call(value)))
  expect(classes.length).toBeGreaterThan(15)
  for (const [name, type] of classes) {
    const foreign = Object.create({ [Symbol.for(`sam3-node:${name}`)]: true }) as object
    expect(foreign instanceof (type as unknown as typeof source.Sam3Error), name).toBe(true)
  }
  class Mine extends source.Sam3InputError {}
  const plain = new source.Sam3InputError('ERR_INVALID_BOX', 'x')
  expect(plain instanceof Mine).toBe(false)
  expect(new Mine('ERR_INVALID_BOX', 'x')).toBeInstanceOf(Mine)
  expect(new Mine('ERR_INVALID_BOX', 'x')).toBeInstanceOf(source.Sam3Error)
  for (const other of [new Error('x'), null, undefined, 'text', 5, {}, () => {}])
    expect((other as unknown) instanceof source.Sam3Error).toBe(false)
  class Alone {}
  recogniseInAllCopies(Alone, 'Alone')
  expect(new Alone()).toBeInstanceOf(Alone)
  expect(Object.keys(Alone.prototype)).toEqual([])
})
