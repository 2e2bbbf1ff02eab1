/** The contract against the engine: what C++ reads of each struct, what it returns, and which methods there are. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type {
  CallReport,
  ClickPrompt,
  ConceptPrompt,
  NativeEngine,
  NativeImage,
  NativeModel,
  NativeSession,
  RgbImage,
} from '../../../lib/native/contract.js'
import { loadEngine, nativeFiles } from '../../../lib/native/loader.js'
import { interfacesOf, membersOf } from '../../support/interfaces.js'
import { noiseImage } from '../../support/model.js'
import { goldenModels } from '../../support/paths.js'
import { here } from '../../support/where.js'

const WIDTH = 120
const HEIGHT = 90
const weights = join(goldenModels.safetensors, 'model.safetensors')
const names = join(goldenModels.safetensors, 'names.json')

const CONTRACT = 'lib/native/contract.ts'
const members = (type: string) => membersOf(CONTRACT, type)
const keys = (type: string) => members(type).map(({ name }) => name)
const sorted = (names: Iterable<string>) => [...names].sort()

const read = new Map<string, Set<string>>()
const returned = new Map<string, Set<string>>()

function noted(by: Map<string, Set<string>>, type: string): Set<string> {
  const names = by.get(type) ?? new Set()
  by.set(type, names)
  return names
}

/** `value`, and a note of every property that is read of it. */
function watched<T extends object>(type: string, value: T): T {
  const names = noted(read, type)
  return new Proxy(value, {
    get(target, key) {
      if (typeof key === 'string') names.add(key)
      return Reflect.get(target, key)
    },
  })
}

/** Notes what the engine returned, which has every key of its type but optional ones. */
function check<T extends object>(type: string, value: T): T {
  const names = noted(returned, type)
  for (const key of Object.keys(value)) names.add(key)
  const required = members(type).filter(({ isOptional }) => !isOptional)
  expect(Object.keys(value)).toEqual(expect.arrayContaining(required.map(({ name }) => name)))
  return value
}

const image = () => watched<RgbImage>('RgbImage', { ...noiseImage(WIDTH, HEIGHT) } as RgbImage)
const concept = (more: Partial<ConceptPrompt> = {}) =>
  watched<ConceptPrompt>('ConceptPrompt', {
    ids: Int32Array.from({ length: model.info.textContext }, (_, index) => [49_406, 2_368, 49_407][index] ?? 0),
    threshold: 0,
    ...more,
  })
const clicks = (more: ClickPrompt = {}) =>
  watched<ClickPrompt>('ClickPrompt', { points: Float64Array.of(60, 45), labels: Int32Array.of(1), ...more })

let engine: NativeEngine
let model: NativeModel
let session: NativeSession
let encoded: NativeImage

beforeAll(async () => {
  engine = await loadEngine()
  const files = { weights, names, program: join(goldenModels.safetensors, 'program.pt'), forVideo: true }
  model = await engine.load(watched('NativeLoadOptions', { ...files, ...here }))
  session = await model.openSession(watched('NativeSessionOptions', { width: WIDTH, height: HEIGHT, logits: true }))
  encoded = (await model.encode([image()]))[0]!
})
afterAll(async () => {
  await session.close()
  await model.dispose()
})

describe('methods', () => {
  const methodsOf = (value: object) =>
    Object.getOwnPropertyNames(Object.getPrototypeOf(value)).filter((name) => name !== 'constructor')

  it.each([
    ['NativeLoader', () => Object.keys(nativeFiles().loader)],
    ['NativeEngine', () => Object.keys(engine)],
    ['NativeCancelToken', () => methodsOf(new engine.CancelToken())],
    ['NativeModel', () => [...methodsOf(model), ...Object.keys(model)]],
    ['NativeImage', () => methodsOf(encoded)],
    ['NativeSession', () => methodsOf(session)],
  ])('%s', (type, found) => {
    expect(sorted(found())).toEqual(sorted(keys(type)))
  })
})

describe('structs', () => {
  it('of the engine and its models', async () => {
    check('NativeEngineInfo', engine.info())
    for (const option of engine.videoOptions) check('NativeVideoOption', option)
    check('ModelParts', check('NativeModelInfo', model.info).parts)
    const stats = check('ModelStats', model.stats())
    check('EngineTimes', stats.stages)
    if (stats.deviceMemory) check('DeviceMemory', stats.deviceMemory)
    expect(stats.deviceMemory !== undefined).toBe(model.info.device !== 'cpu')
    const whole = await engine.load({ weights: goldenModels.checkpoint, ...here })
    check('NativeModelInfo', whole.info) // with its tokenizer
    await whole.dispose()
  })

  it('of questions about an image', async () => {
    const boxes = { boxes: Float64Array.of(10, 10, 60, 50), labels: Int32Array.of(1) }
    const item = (of: NativeImage | RgbImage, prompts: ConceptPrompt[]) =>
      watched('SegmentItem', { image: of, prompts })
    const answers = await model.segment([
      item(image(), [concept({ ...boxes, logits: true, semantic: true })]),
      item(encoded, [concept()]),
    ])
    for (const answer of answers.flat()) {
      check('NativeSegmentation', answer)
      check('NativeMasks', answer.masks)
      if (answer.logits) check('NativeLogits', answer.logits)
    }
    const box = Float64Array.of(10, 10, 60, 50)
    check(
      'NativePrediction',
      await model.predict(encoded, [clicks({ box })], watched('PredictOptions', { multimask: true })),
    )
  })

  it('of where the time of a call goes', async () => {
    const reports: CallReport[] = []
    const note = (report: CallReport) => reports.push(check('CallReport', report))
    const box = Float64Array.of(10, 10, 60, 50)
    await model.segment([{ image: image(), prompts: [concept()] }], undefined, note)
    await model.predict(encoded, [clicks({ box })], { multimask: true }, undefined, note)
    await model.encode([image(), image()], undefined, note)
    const told = reports.map(({ stages }) => stages.map((span) => check('CallSpan', span).stage))
    expect(told[0]).toEqual(['queue', 'prepare', 'encode', 'detect', 'masks'])
    expect(told[1]).toEqual(['queue', 'detect', 'masks'])
    expect(told[2]!.slice(0, 3)).toEqual(['queue', 'prepare', 'encode'])
  })

  it('of a video', async () => {
    const added = check('AddedConcept', await session.addConcept(0, image(), concept({ hasText: true })))
    check('NativeMasks', check('NativeFrameResult', added.result).masks)
    check('NativeFrameResult', await session.addPoints(0, null, 7, clicks()))
    check('PropagationPlan', await session.begin(watched('PropagationRequest', { reverse: false, maxFrames: 1 })))
    await session.step(0, image())
    for (const result of await session.finish()) check('NativeFrameResult', result)
    check('StageTimes', check('SessionStats', await session.stats()).times)
  })

  it('of weight files', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sam3-contract-'))
    const broken = join(folder, 'broken.safetensors')
    // One tensor under another name is missed, and one is unknown.
    const bytes = readFileSync(weights)
    bytes.write('Q', bytes.indexOf('detector_model.') + 'detector_model.'.length)
    writeFileSync(broken, bytes)
    for (const path of [weights, broken, goldenModels.checkpoint]) {
      const report = engine.inspectWeights(path, names)
      if (report.format === 'torchscript') {
        expect(report).toEqual({ format: 'torchscript' })
        continue
      }
      check('NativeWeightList', report)
      for (const group of [...report.missing, ...report.ignored]) check('NativeWeightGroup', group)
    }
    rmSync(folder, { recursive: true })
  })

  it('have no key that is not returned, or not read', () => {
    if (model.info.device === 'cpu') {
      noted(returned, 'ModelStats').add('deviceMemory')
      for (const key of keys('DeviceMemory')) noted(returned, 'DeviceMemory').add(key)
    }
    for (const [type, names] of returned) expect([type, sorted(names)]).toEqual([type, sorted(keys(type))])
    const heuristics = engine.videoOptions.map(({ name }) => name)
    for (const [type, names] of read) {
      const more = type === 'NativeSessionOptions' ? heuristics : []
      expect([type, sorted(names)]).toEqual([type, sorted([...keys(type), ...more])])
    }
    // Every struct was met; ModelInfo as a part of NativeModelInfo.
    const structs = interfacesOf(CONTRACT).filter((type) => !members(type).some(({ isMethod }) => isMethod))
    expect(sorted([...read.keys(), ...returned.keys(), 'ModelInfo'])).toEqual(sorted(structs))
  })
})

it('an error says its cause, its code and what to do apart', () => {
  const error = (() => {
    try {
      engine.inspectWeights('/nowhere. Or/else', names)
    } catch (error) {
      return error
    }
  })()
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    code: 'ERR_MODEL_NOT_FOUND',
    message: 'Cannot open /nowhere. Or/else: No such file or directory.',
    fix: 'Check the path of the model and the permissions of the file.',
  })
})
