/** Every kind of bad input is a typed error with a stable code and a fix, and leaves the model usable. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runInNewContext } from 'node:vm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  buildSam3ImageModel,
  type ImageInput,
  type ImageModelOptions,
  type PointPrompt,
  type Prompt,
  type RawImage,
  Sam3Error,
  Sam3Processor,
  type Sam3ImageModel,
} from '../../../lib/index.js'
import { buildTestModel, noiseImage, rejection } from '../../support/model.js'
import { goldenModels } from '../../support/paths.js'

const image = noiseImage(60, 40)
let model: Sam3ImageModel
beforeAll(async () => {
  model = await buildTestModel()
})
afterAll(() => model.dispose())

/** A list that has nothing at its first place. */
function withGap(...items: unknown[]): unknown[] {
  delete items[0]
  return items
}

function expectTyped(error: Error, code: string): void {
  expect(error).toBeInstanceOf(Sam3Error)
  expect(error).toMatchObject({ code })
  expect(error.message).toMatch(/\w.*\./)
  expect((error as Sam3Error).fix || error.message).toMatch(/\S/)
}

describe('bad prompts', () => {
  afterEach(async () => {
    expect((await model.segment(image, 'cat')).width).toBe(60)
  })

  it.each<[string, unknown, string]>([
    ['no prompt', undefined, 'ERR_INVALID_ARGUMENT'],
    ['a number', 3, 'ERR_INVALID_ARGUMENT'],
    ['an empty prompt', {}, 'ERR_EMPTY_PROMPT'],
    ['an empty text', '', 'ERR_EMPTY_PROMPT'],
    ['a blank text', { text: ' \t\u00a0' }, 'ERR_EMPTY_PROMPT'],
    ['a blank text beside a box', { text: ' ', boxes: [[1, 1, 5, 5]] }, 'ERR_EMPTY_PROMPT'],
    ['a text that is a number', { text: 5 }, 'ERR_INVALID_ARGUMENT'],
    ['a misspelt key', { text: 'cat', treshold: 0.5 }, 'ERR_INVALID_ARGUMENT'],
    ['no boxes', { boxes: [] }, 'ERR_EMPTY_PROMPT'],
    ['boxes that are no list', { boxes: 'all' }, 'ERR_INVALID_ARGUMENT'],
    ['a box of three numbers', { boxes: [[1, 2, 3]] }, 'ERR_INVALID_BOX'],
    ['a box of words', { boxes: [['a', 'b', 'c', 'd']] }, 'ERR_INVALID_BOX'],
    ['a box that is missing', { boxes: [{ label: 'positive' }] }, 'ERR_INVALID_BOX'],
    ['a NaN in a box', { boxes: [[Number.NaN, 0, 5, 5]] }, 'ERR_INVALID_BOX'],
    ['an infinite box', { boxes: [[0, 0, Number.POSITIVE_INFINITY, 5]] }, 'ERR_INVALID_BOX'],
    ['an inverted box', { boxes: [[20, 20, 10, 30]] }, 'ERR_INVALID_BOX'],
    ['an empty box', { boxes: [[20, 20, 20, 30]] }, 'ERR_INVALID_BOX'],
    ['a box to the right of the image', { boxes: [[60, 0, 80, 10]] }, 'ERR_INVALID_BOX'],
    ['a box above the image', { boxes: [[0, -20, 80, 0]] }, 'ERR_INVALID_BOX'],
    ['pixels where 0..1 was said', { boxes: [[10, 10, 20, 20]], normalized: true }, 'ERR_INVALID_BOX'],
    ['an absurd box around the image', { boxes: [[-1e25, -1e25, 1e25, 1e25]] }, 'ERR_INVALID_BOX'],
    ['a box that reaches far to the right', { boxes: [[0, 0, 1e30, 10]] }, 'ERR_INVALID_BOX'],
    ['a box that begins far above', { boxes: [[0, -5000, 10, 10]] }, 'ERR_INVALID_BOX'],
    ['pixels of a whole image where 0..1 was said', { boxes: [[0, 0, 60, 40]], normalized: true }, 'ERR_INVALID_BOX'],
    ['a typed array with a NaN', { boxes: [Float32Array.of(0, 0, Number.NaN, 5)] }, 'ERR_INVALID_BOX'],
    ['a typed array far out', { boxes: Float32Array.of(-1e25, 0, 1e25, 5) }, 'ERR_INVALID_BOX'],
    ['a typed array of three', { boxes: [Float32Array.of(1, 2, 3)] }, 'ERR_INVALID_BOX'],
    ['a flat typed array of five', { boxes: Float32Array.of(1, 2, 3, 4, 5) }, 'ERR_INVALID_ARGUMENT'],
    ['whole numbers of BigInt', { boxes: [[0n, 0n, 5n, 5n]] }, 'ERR_INVALID_BOX'],
    ['a typed array of BigInt', { boxes: [BigInt64Array.of(0n, 0n, 5n, 5n)] }, 'ERR_INVALID_BOX'],
    ['numbers as text', { boxes: [['0', '0', '5', '5']] }, 'ERR_INVALID_BOX'],
    ['truth as numbers', { boxes: [[false, false, true, true]] }, 'ERR_INVALID_BOX'],
    ['a box with a gap', { boxes: [withGap(0, 0, 5, 5)] }, 'ERR_INVALID_BOX'],
    ['a list with a gap', { boxes: withGap([0, 0, 5, 5], [0, 0, 5, 5]) }, 'ERR_INVALID_BOX'],
    ['nothing for a box', { boxes: [null] }, 'ERR_INVALID_BOX'],
    ['x, y, width and height', { boxes: [{ x: 1, y: 1, width: 5, height: 5 }] }, 'ERR_INVALID_BOX'],
    ['one box instead of a list', { boxes: [1, 1, 5, 5] }, 'ERR_INVALID_ARGUMENT'],
    ['a misspelt label', { boxes: [{ box: [1, 1, 5, 5], lable: 'negative' }] }, 'ERR_INVALID_ARGUMENT'],
    ['a label of BigInt', { boxes: [{ box: [1, 1, 5, 5], label: 1n }] }, 'ERR_INVALID_ARGUMENT'],
    [
      'a bad box after a good one',
      {
        boxes: [
          [0, 0, 5, 5],
          [9, 9, 5, 5],
        ],
      },
      'ERR_INVALID_BOX',
    ],
    ['an unknown label', { boxes: [{ box: [0, 0, 5, 5], label: 'maybe' }] }, 'ERR_INVALID_ARGUMENT'],
    ['a threshold above 1', { text: 'cat', threshold: 1.01 }, 'ERR_INVALID_THRESHOLD'],
    ['a threshold below 0', { text: 'cat', threshold: -0.1 }, 'ERR_INVALID_THRESHOLD'],
    ['a threshold that is NaN', { text: 'cat', threshold: Number.NaN }, 'ERR_INVALID_THRESHOLD'],
    ['a threshold in words', { text: 'cat', threshold: '0.5' }, 'ERR_INVALID_THRESHOLD'],
    ['no instances at most', { text: 'cat', maxInstances: 0 }, 'ERR_INVALID_ARGUMENT'],
    ['half an instance', { text: 'cat', maxInstances: 1.5 }, 'ERR_INVALID_ARGUMENT'],
    ['semantic in words', { text: 'cat', semantic: 'yes' }, 'ERR_INVALID_ARGUMENT'],
    ['a bad prompt in a list', ['cat', ''], 'ERR_EMPTY_PROMPT'],
    ['a list of texts with a blank one', { text: ['cat', ' '] }, 'ERR_EMPTY_PROMPT'],
  ])('%s', async (_name, prompt, code) => {
    expectTyped(await rejection(model.segment(image, prompt as Prompt)), code)
  })

  it.each<[string, unknown, string]>([
    ['no prompt', undefined, 'ERR_INVALID_ARGUMENT'],
    ['an empty prompt', {}, 'ERR_EMPTY_PROMPT'],
    ['no points', { points: [], labels: [] }, 'ERR_EMPTY_PROMPT'],
    [
      'more points than labels',
      {
        points: [
          [1, 1],
          [2, 2],
        ],
        labels: [1],
      },
      'ERR_INVALID_POINT',
    ],
    ['labels without points', { labels: [1] }, 'ERR_INVALID_POINT'],
    ['a NaN', { points: [[Number.NaN, 1]], labels: [1] }, 'ERR_INVALID_POINT'],
    ['an infinite coordinate', { points: [[1, Number.NEGATIVE_INFINITY]], labels: [1] }, 'ERR_INVALID_POINT'],
    ['a point of one number', { points: [[1]], labels: [1] }, 'ERR_INVALID_POINT'],
    ['points that are flat', { points: [1, 2], labels: [1, 1] }, 'ERR_INVALID_POINT'],
    ['a point outside', { points: [[61, 10]], labels: [1] }, 'ERR_INVALID_POINT'],
    ['a negative point', { points: [[-1, 10]], labels: [1] }, 'ERR_INVALID_POINT'],
    ['an absurd point', { points: [[1e25, 1e25]] }, 'ERR_INVALID_POINT'],
    ['a typed point far out', { points: [Float32Array.of(-1e25, 5)] }, 'ERR_INVALID_POINT'],
    ['pixels where 0..1 was said', { points: [[10, 10]], normalized: true }, 'ERR_INVALID_POINT'],
    ['a flat typed array of three', { points: Float32Array.of(1, 2, 3) }, 'ERR_INVALID_POINT'],
    ['points of BigInt', { points: [[1n, 2n]] }, 'ERR_INVALID_POINT'],
    ['a point with a gap', { points: [withGap(1, 2)] }, 'ERR_INVALID_POINT'],
    ['a point as an object', { points: [{ x: 1, y: 1 }] }, 'ERR_INVALID_POINT'],
    [
      'labels in a typed array of another length',
      { points: [[1, 1]], labels: Int32Array.of(1, 0) },
      'ERR_INVALID_POINT',
    ],
    ['labels of BigInt', { points: [[1, 1]], labels: BigInt64Array.of(1n) }, 'ERR_INVALID_POINT'],
    [
      'labels with a gap',
      {
        points: [
          [1, 1],
          [2, 2],
        ],
        labels: withGap(1, 1),
      },
      'ERR_INVALID_ARGUMENT',
    ],
    ['an absurd box', { box: [-1e25, -1e25, 1e25, 1e25] }, 'ERR_INVALID_BOX'],
    ['a label of 2', { points: [[1, 10]], labels: [2] }, 'ERR_INVALID_ARGUMENT'],
    ['an inverted box', { box: [5, 5, 1, 1] }, 'ERR_INVALID_BOX'],
    ['mask logits of another size', { maskInput: new Float32Array(100) }, 'ERR_INVALID_MASK'],
    ['mask logits with a NaN', { maskInput: new Float32Array(48 * 48).fill(Number.NaN) }, 'ERR_INVALID_MASK'],
    ['mask logits far out', { maskInput: new Float32Array(48 * 48).fill(1e25) }, 'ERR_INVALID_MASK'],
    ['mask logits in words', { maskInput: Array.from({ length: 48 * 48 }, () => '0') }, 'ERR_INVALID_MASK'],
    ['mask logits of BigInt', { maskInput: new BigInt64Array(48 * 48) }, 'ERR_INVALID_MASK'],
    ['no mask logits', { maskInput: null }, 'ERR_INVALID_MASK'],
    ['multimask in words', { points: [[1, 1]], multimask: 'no' }, 'ERR_INVALID_ARGUMENT'],
    ['a bad prompt in a list', [{ points: [[1, 1]] }, {}], 'ERR_EMPTY_PROMPT'],
  ])('click prompt: %s', async (_name, prompt, code) => {
    expectTyped(await rejection(model.predict(image, prompt as PointPrompt)), code)
  })

  it.each<[string, unknown, string]>([
    ['no list', { image, text: 'cat' }, 'ERR_INVALID_ARGUMENT'],
    ['an item without an image', [{ text: 'cat' }], 'ERR_INVALID_ARGUMENT'],
    ['an item without a prompt', [{ image }], 'ERR_EMPTY_PROMPT'],
    [
      'a missing file',
      [
        { image, text: 'cat' },
        { image: 'none.jpg', text: 'cat' },
      ],
      'ERR_IMAGE_NOT_FOUND',
    ],
  ])('batch: %s', async (_name, items, code) => {
    expectTyped(await rejection(model.segmentBatch(items as never)), code)
  })

  it('says which item of a batch it is about', async () => {
    const error = await rejection(
      model.segmentBatch([
        { image, text: 'cat' },
        { image, text: ' ' },
      ]),
    )
    expect(error.message).toContain('Item 1')
  })

  it.each<[string, unknown, string]>([
    ['a misspelt option', { sgnal: 1 }, 'ERR_INVALID_ARGUMENT'],
    ['a signal that is none', { signal: {} }, 'ERR_INVALID_ARGUMENT'],
  ])('call options: %s', async (_name, options, code) => {
    expectTyped(await rejection(model.segment(image, 'cat', options as never)), code)
  })

  it.each<[string, ImageInput, string]>([
    ['no image at all', undefined as unknown as ImageInput, 'ERR_INVALID_ARGUMENT'],
    ['bytes that are no image', Buffer.from('no image'), 'ERR_INVALID_IMAGE'],
    [
      'a zero-size image',
      { width: 0, height: 0, channels: 3, data: new Uint8Array() } as RawImage,
      'ERR_INVALID_IMAGE',
    ],
    ['a buffer of the wrong length', { ...image, width: 61 }, 'ERR_INVALID_IMAGE'],
  ])('image: %s', async (_name, bad, code) => {
    expectTyped(await rejection(model.segment(bad, 'cat')), code)
    expectTyped(await rejection(model.encode(bad)), code)
    expectTyped(await rejection(model.predict(bad, { points: [[1, 1]] })), code)
  })

  it('a text that is too long is cut off, with a warning', async () => {
    const long = await model.segment(image, { text: 'cat '.repeat(50), threshold: 0 })
    expect(long.warnings).toEqual([expect.stringContaining('cut off')])
    const cut = await model.segment(image, { text: 'cat '.repeat(30), threshold: 0 })
    expect(cut.warnings).toEqual([])
    expect(long.instances.map(({ score }) => score)).toEqual(cut.instances.map(({ score }) => score))
  })

  it('typed arrays are numbers, nested or flat', async () => {
    const ask = async (prompt: Prompt) => {
      const { presence, instances } = await model.segment(image, { threshold: 0, maxInstances: 3, ...prompt })
      return [presence, ...instances.map(({ score }) => score)]
    }
    const boxes: [number, number, number, number][] = [
      [5, 5, 25, 30],
      [30, 2, 55, 20],
    ]
    const expected = await ask({ boxes })
    expect(await ask({ boxes: boxes.map((box) => Float32Array.from(box)) })).toEqual(expected)
    expect(await ask({ boxes: boxes.map((box) => ({ box: Float64Array.from(box), label: 1 })) })).toEqual(expected)
    expect(await ask({ boxes: Float32Array.from(boxes.flat()) })).toEqual(expected)
    expect(await ask({ boxes: Uint16Array.from(boxes.flat()) })).toEqual(expected)
    expect(await ask({ boxes: runInNewContext('[[5, 5, 25, 30], [30, 2, 55, 20]]') })).toEqual(expected)

    const click = async (prompt: PointPrompt) => [...(await model.predict(image, prompt)).scores]
    const { logits } = (await model.predict(image, { points: [[9, 9]] })).best.mask
    const clicks = await click({
      points: [
        [10, 10],
        [20, 15],
      ],
      labels: [1, 0],
      box: [5, 5, 40, 30],
      maskInput: logits,
    })
    for (const maskInput of [logits!.data, Float64Array.from(logits!.data), [...logits!.data] as never]) {
      const typed: PointPrompt[] = [
        { points: [Float32Array.of(10, 10), Int16Array.of(20, 15)], labels: Uint8Array.of(1, 0) },
        { points: Float64Array.of(10, 10, 20, 15), labels: Float32Array.of(1, 0) },
      ]
      for (const prompt of typed) {
        expect(await click({ ...prompt, box: Float32Array.of(5, 5, 40, 30), maskInput })).toEqual(clicks)
      }
    }

    const processor = new Sam3Processor(model)
    using state = await processor.setImage(image)
    await processor.addGeometricPrompt([0.25, 0.25, 0.5, 0.25], true, state)
    const { scores } = state
    processor.resetAllPrompts(state)
    await processor.addGeometricPrompt(Float32Array.of(0.25, 0.25, 0.5, 0.25), true, state)
    expect(state.scores).toEqual(scores)
    expectTyped(await rejection(processor.addGeometricPrompt([0.5, 0.5, 1e25, 1], true, state)), 'ERR_INVALID_BOX')
    expectTyped(await rejection(processor.addGeometricPrompt(['0', 0, 1, 1] as never, true, state)), 'ERR_INVALID_BOX')
  })

  it('says what was given, and the form that is meant', async () => {
    const message = async (boxes: unknown) => (await rejection(model.segment(image, { boxes } as Prompt))).message
    expect(await message([[-1e25, -1e25, 1e25, 1e25]])).toMatch(/1e\+25.*60 x 40/)
    expect(await message([{ x: 1, y: 2, width: 3, height: 4 }])).toContain('[x, y, x + width, y + height]')
    expect(await message([1, 2, 3, 4])).toContain('[[x0, y0, x1, y1]]')
    expect(await message([['1', '2', '3', '4']])).toContain('Number(')
    const { message: click } = await rejection(model.predict(image, { points: [10, 20] } as never))
    expect(click).toContain('[[x, y], …]')
  })

  it('a box over the edge is fine, as in the reference', async () => {
    for (const box of [
      [-10, -10, 30, 30],
      [-60, -40, 120, 80],
      [-500, -300, 600, 400],
    ] as const) {
      const { presence, warnings } = await model.segment(image, { boxes: [box] })
      expect({ finite: Number.isFinite(presence), warnings }).toEqual({ finite: true, warnings: [] })
    }
  })
})

describe('bad options', () => {
  it.each<[string, unknown, string]>([
    ['a misspelt option', { modle: 'x' }, 'ERR_INVALID_ARGUMENT'],
    ['a model that is no path', { model: 5 }, 'ERR_INVALID_ARGUMENT'],
    ['an unknown device', { device: 'tpu' }, 'ERR_INVALID_ARGUMENT'],
    ['an unknown dtype', { dtype: 'int4' }, 'ERR_INVALID_DTYPE'],
    ['half a pixel', { inputSize: 100.5 }, 'ERR_INVALID_INPUT_SIZE'],
    ['an input size that is no multiple', { inputSize: 100 }, 'ERR_INVALID_INPUT_SIZE'],
    ['no threads', { threads: 0 }, 'ERR_INVALID_ARGUMENT'],
    ['a queue of none', { queueLimit: 0 }, 'ERR_INVALID_ARGUMENT'],
    ['progress to nobody', { onLoadProgress: 'console' }, 'ERR_INVALID_ARGUMENT'],
    ['a missing model', { model: './nowhere' }, 'ERR_MODEL_NOT_FOUND'],
    ['a repository that is not here', { model: 'nobody/nothing', offline: true }, 'ERR_OFFLINE'],
    ['another LibTorch than the one that is open', { libtorch: '/' }, 'ERR_LIBTORCH_NOT_FOUND'],
  ])('%s', async (_name, options, code) => {
    const all = { model: goldenModels.safetensors, device: 'cpu', ...(options as object) } as ImageModelOptions
    expectTyped(await rejection(buildSam3ImageModel(all)), code)
  })

  it('a refused input size comes with the list of valid ones', async () => {
    const error = await rejection(buildTestModel({ inputSize: 100 }))
    for (const size of model.info.validInputSizes.slice(0, 3)) expect(error.message).toContain(String(size))
  })
})

describe('bad model files', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'sam3-bad-model-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const good = goldenModels.safetensors

  /** A copy of the golden model in which some files are replaced (or left out, with undefined). */
  function variant(name: string, changes: Record<string, Buffer | string | undefined>): string {
    const target = path.join(folder, name)
    mkdirSync(target)
    for (const file of ['config.json', 'model.safetensors', 'tokenizer.json', 'program.pt', 'names.json']) {
      if (!(file in changes)) copyFileSync(path.join(good, file), path.join(target, file))
      else if (changes[file] !== undefined) writeFileSync(path.join(target, file), changes[file])
    }
    for (const [file, data] of Object.entries(changes))
      if (data !== undefined) writeFileSync(path.join(target, file), data)
    return target
  }

  const weights = () => readFileSync(path.join(good, 'model.safetensors'))
  const header = (length: bigint, json: string) => {
    const bytes = Buffer.alloc(8 + json.length)
    bytes.writeBigUInt64LE(length)
    bytes.write(json, 8)
    return bytes
  }
  const foreignHeader = '{"layer":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
  const foreign = Buffer.concat([header(BigInt(foreignHeader.length), foreignHeader), Buffer.alloc(4)])
  const renamed = () => {
    const bytes = weights()
    const at = bytes.indexOf('text_projection.weight')
    bytes.write('text_projection.wEight', at)
    return bytes
  }
  it.each<[string, () => Record<string, Buffer | string | undefined>, string]>([
    ['an empty folder', () => ({ 'model.safetensors': undefined }), 'ERR_MODEL_NOT_FOUND'],
    ['weights cut in half', () => ({ 'model.safetensors': weights().subarray(0, 1_000_000) }), 'ERR_WEIGHTS_CORRUPT'],
    ['empty weights', () => ({ 'model.safetensors': Buffer.alloc(0) }), 'ERR_WEIGHTS_CORRUPT'],
    ['a header longer than the file', () => ({ 'model.safetensors': header(1n << 40n, '{}') }), 'ERR_WEIGHTS_CORRUPT'],
    ['a header that is no JSON', () => ({ 'model.safetensors': header(4n, 'nope') }), 'ERR_WEIGHTS_CORRUPT'],
    ['weights without a tensor', () => ({ 'model.safetensors': header(2n, '{}') }), 'ERR_MODEL_FORMAT'],
    ['weights of something else', () => ({ 'model.safetensors': foreign }), 'ERR_MODEL_FORMAT'],
    ['a tensor of another name', () => ({ 'model.safetensors': renamed() }), 'ERR_WEIGHTS_MISMATCH'],
    ['a program that is none', () => ({ 'program.pt': 'not a program' }), 'ERR_PROGRAM'],
    ['a tokenizer of something else', () => ({ 'tokenizer.json': '{}' }), 'ERR_MODEL_FORMAT'],
  ])('%s', async (name, changes, code) => {
    const target = variant(name, changes())
    expectTyped(await rejection(buildTestModel({ model: target })), code)
  })

  it.each<[string, Buffer]>([
    ['text', Buffer.from('this is no checkpoint')],
    ['nothing', Buffer.alloc(0)],
    ['a pickle without a zip', Buffer.from([0x80, 0x02, 0x7d, 0x71, 0x00, 0x2e])],
  ])('a checkpoint file of %s', async (name, data) => {
    const file = path.join(folder, `${name}.pt`)
    writeFileSync(file, data)
    const error = await rejection(buildTestModel({ model: file }))
    expect(['ERR_WEIGHTS_CORRUPT', 'ERR_MODEL_FORMAT']).toContain(error.code)
  })

  it('a config of another network than the packaged program', async () => {
    const config = JSON.parse(readFileSync(path.join(good, 'config.json'), 'utf8'))
    const target = variant('another network', {
      'program.pt': undefined,
      'names.json': undefined,
      'config.json': JSON.stringify(config),
    })
    const error = await rejection(buildTestModel({ model: target }))
    expectTyped(error, 'ERR_MODEL_FORMAT')
    expect(error.message).toContain('scripts.export program')
  })

  it('CUDA where there is none', async () => {
    const result = await buildTestModel({ device: 'cuda:99' }).then(
      (loaded) => loaded.dispose(),
      (error: Error) => expectTyped(error, 'ERR_DEVICE_UNAVAILABLE'),
    )
    expect(result).toBeUndefined()
  })
})
