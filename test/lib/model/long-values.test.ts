/** A value of a caller that is a megabyte long, such as a picture in base64, is in no message, and in no cause of one. */
import { execFile } from 'node:child_process'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  buildSam3ImageModel,
  buildSam3VideoModel,
  openSource,
  overlay,
  PushSource,
  Sam3Error,
  type Sam3ImageModel,
  toCocoJson,
} from '../../../lib/index.js'
import { shortened, shown } from '../../../lib/base/shown.js'
import { buildTestModel, noiseImage, rejection } from '../../support/model.js'
import { goldenModels, repositoryRoot } from '../../support/paths.js'

const LONG = `secret${'iVBORw0KGgoAAAANSUhEUgAAAIwAAABaCAIAAA'.repeat(2_000)}`
const image = noiseImage(60, 40)
let model: Sam3ImageModel
beforeAll(async () => {
  model = await buildTestModel()
})
afterAll(() => model.dispose())

/** Everything that a log would show of an error. */
function logged(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return [error.stack, error.message, JSON.stringify(error), logged(error.cause)].join('\n')
}

function expectShort(error: unknown): void {
  expect(error).toBeInstanceOf(Sam3Error)
  expect(logged(error).length).toBeLessThan(8_000)
}

const offline = { offline: true, device: 'cpu' } as const
const build = (options: object) => buildSam3ImageModel({ ...offline, model: goldenModels.safetensors, ...options })
const segment = (prompt: unknown) => model.segment(image, prompt as never)

describe('a value of 80,000 characters', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['an image', () => model.segment(LONG, 'cup')],
    ['an image as a URL', () => model.segment(`https://example.com/${LONG}`, 'cup')],
    ['an image as a file: URL', () => model.segment(`file:///${LONG}`, 'cup')],
    ['an image of a batch', () => model.segmentBatch([{ image: LONG, text: 'cup' }])],
    ['an image to draw on', () => overlay(LONG, [])],
    ['a key of a prompt', () => segment({ text: 'cup', [LONG]: 1 })],
    ['a threshold', () => segment({ text: 'cup', threshold: LONG })],
    ['a count', () => segment({ text: 'cup', maxInstances: LONG })],
    ['a flag', () => segment({ text: 'cup', semantic: LONG })],
    ['boxes', () => segment({ boxes: LONG })],
    ['a box', () => segment({ boxes: [LONG] })],
    ['a coordinate', () => segment({ boxes: [[LONG, LONG, LONG, LONG]] })],
    ['a box of very many numbers', () => segment({ boxes: [new Float32Array(100_000)] })],
    ['a label', () => segment({ boxes: [{ box: [0, 0, 9, 9], label: LONG }] })],
    ['a list of texts', () => segment({ text: { [LONG]: LONG } })],
    ['a point', () => model.predict(image, { points: [[LONG, LONG]] } as never)],
    ['a point of very many numbers', () => model.predict(image, { points: [new Float32Array(99_999)] } as never)],
    ['labels', () => model.predict(image, { points: [[1, 1]], labels: LONG } as never)],
    ['a mask', () => model.predict(image, { maskInput: LONG } as never)],
    ['raw pixels', () => model.segment({ data: image.data, width: LONG, height: 1, channels: LONG } as never, 'cup')],
    ['a model', () => build({ model: LONG })],
    ['a model in a folder', () => build({ model: `./${LONG}` })],
    ['a device', () => build({ device: LONG })],
    ['a dtype', () => build({ dtype: LONG })],
    ['an input size', () => build({ inputSize: LONG })],
    ['a revision', () => build({ model: 'nobody/nothing', revision: LONG })],
    ['a LibTorch', () => build({ libtorch: LONG })],
    ['a model of videos', () => buildSam3VideoModel({ ...offline, model: LONG })],
    ['a video', () => openSource(LONG)],
    ['a video as an address', () => openSource(new URL(`foo:${LONG}`))],
    ['a frame', () => openSource([LONG])],
    ['a frame rate', () => openSource([image], { frameRate: LONG } as never)],
    ['an option of a live source', async () => new PushSource({ overflow: LONG } as never)],
    ['an option of a drawing', () => overlay(image, [], { opacity: LONG } as never)],
    ['the format of a drawing', () => overlay(image, [], { format: LONG } as never)],
    ['the scale of a drawing', () => overlay(image, [], { scale: LONG } as never)],
    ['an option of COCO', async () => toCocoJson([], { segmentation: LONG } as never)],
  ])('%s', async (_name, call) => {
    expectShort(await rejection(call()))
  })

  it('on the command line', async () => {
    const run = (args: string[]) =>
      new Promise<string>((resolve) => {
        execFile(process.execPath, [path.join(repositoryRoot, 'dist', 'cli.js'), ...args], (_error, stdout, stderr) =>
          resolve(stdout + stderr),
        )
      })
    const known = ['--text', 'cup', '--model', 'demo', '--device', 'cpu']
    const all = [
      ['segment', LONG, ...known],
      ['track', LONG, ...known],
      ['pull', LONG],
    ]
    for (const said of await Promise.all(all.map(run))) {
      expect(said).toMatch(/ERR_|error/)
      expect(said.length).toBeLessThan(8_000)
    }
  })
})

describe('shown', () => {
  it('never throws, and stays short', () => {
    const circular: Record<string, unknown> = {}
    circular.self = circular
    const hostile = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('no')
        },
      },
    )
    const values = [null, undefined, Number.NaN, -0, 1n, Symbol('s'), Object.create(null), circular, hostile, () => 1]
    for (const value of [
      ...values,
      LONG,
      [LONG, LONG],
      { [LONG]: LONG },
      new Float32Array(1e5),
      new Map([[LONG, 1]]),
    ]) {
      expect(shown(value).length).toBeLessThan(300)
    }
    expect(['a', 1n, [1, 2], { x: 1 }, Float32Array.of(1)].map(shown)).toEqual([
      "'a'",
      '1n',
      '[ 1, 2 ]',
      '{ x: 1 }',
      'Float32Array(1) [ 1 ]',
    ])
  })

  it('keeps the beginning and the end', () => {
    expect(shortened('a path.jpg')).toBe('a path.jpg')
    expect(shortened(`start${'x'.repeat(1000)}end`)).toMatch(/^startx+ … x+end \(1008 characters\)$/)
  })
})
