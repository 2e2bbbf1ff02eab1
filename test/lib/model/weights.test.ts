/** Weights of fine-tuning: every layout that training leaves behind is recognised, or refused with a reason. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildSam3ImageModel, buildSam3VideoModel, type Sam3ImageModel } from '../../../lib/index.js'
import { fromNativeError } from '../../../lib/base/errors.js'
import type { NativeEngine, NativeWeightReport } from '../../../lib/native/contract.js'
import { loadEngine } from '../../../lib/native/loader.js'
import { buildTestModel, noiseImage, rejection } from '../../support/model.js'
import { goldenModels, repositoryRoot } from '../../support/paths.js'
import { pythonWith } from '../../support/python.js'
import { TestSource, wanderingFrame } from '../../support/video.js'
import { here } from '../../support/where.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-weights-'))
const values = (name: string) => path.join(folder, 'values', name)
const shapes = (name: string) => path.join(folder, 'shapes', `${name}.pt`)
const image = noiseImage(120, 90, 7)
const question = { text: 'cup', boxes: [{ box: [10, 10, 60, 50] as const }], threshold: 0 }
const clicks = { points: [[50, 40]] as const, multimask: true }

let engine: NativeEngine
let base: Sam3ImageModel

beforeAll(async () => {
  const python = pythonWith('torch', 'safetensors', 'transformers')
  if (!python) throw new Error('The tests need the packages of requirements-dev.txt: run npm run setup.')
  const script = `${repositoryRoot}/test/support/weight_layouts.py`
  execFileSync(python, [script, `${goldenModels.meta}/sam3.pt`, goldenModels.safetensors, folder], { stdio: 'pipe' })
  // A program of its own beside every model, as for any other network than that of facebook/sam3.
  for (const name of [...readdirSync(values('')), '']) {
    if (name.endsWith('.safetensors')) continue
    for (const file of ['program.pt', 'names.json', 'tokenizer.json'])
      symlinkSync(`${goldenModels.safetensors}/${file}`, path.join(values(name), file))
  }
  engine = await loadEngine()
  base = await buildTestModel()
}, 240_000)
afterAll(async () => {
  await base?.dispose()
  rmSync(folder, { recursive: true, force: true })
})

const build = (model: string) => buildSam3ImageModel({ model, ...here })

/** Scores and boxes, to the last bit. */
async function found(model: Sam3ImageModel) {
  const { instances } = await model.segment(image, question)
  return instances.map(({ score, box, mask }) => ({ score, box, area: mask.area }))
}

async function clicked(model: Sam3ImageModel) {
  const { masks, scores, objectScore } = await model.predict(image, clicks)
  return { scores, objectScore, areas: masks.map(({ area }) => area) }
}

describe('fine-tuned weights give what the same numbers give under their usual names', () => {
  it.each([
    ["the folder of Meta's trainer", 'trainer'],
    ['a checkpoint of Lightning with DDP, torch.compile and an average beside it', 'lightning'],
    ['shards of pytorch_model.bin', 'shards'],
    ['Sam3Model.save_pretrained()', 'Sam3Model'],
    ['torch.save() of a whole Sam3Model', 'pickled'],
  ])('%s', async (_name, layout) => {
    const model = await build(values(layout))
    expect(await found(model)).toEqual(await found(base))
    const whole = ['lightning', 'shards'].includes(layout)
    expect(model.info.parts).toEqual({ detector: true, clicks: whole, video: whole })
    if (whole) expect(await clicked(model)).toEqual(await clicked(base))
    await model.dispose()
  })

  it('of the image model alone: clicks and videos say what is absent, and take no memory', async () => {
    const model = await build(values('trainer'))
    expect(await rejection(model.predict(image, clicks))).toMatchObject({
      name: 'Sam3ModelError',
      code: 'ERR_NO_TRACKER',
      message: expect.stringContaining('no tracker'),
    })
    const encoded = await model.encode(image)
    expect(await rejection(encoded.predict(clicks))).toMatchObject({ code: 'ERR_NO_TRACKER' })
    encoded.dispose()
    expect(await found(model)).toEqual(await found(base)) // still usable
    const report = inspected(engine.inspectWeights(values('trainer/checkpoint.pt'), values('trainer/names.json')))
    expect(model.info.parameters).toBeLessThan(base.info.parameters)
    // One row of Meta's positions is dropped: that of the class token.
    expect(report.parameters - model.info.parameters).toBeLessThan(1000)
    await model.dispose()
    const video = await rejection(buildSam3VideoModel({ model: values('trainer'), ...here }))
    expect(video).toMatchObject({ code: 'ERR_NO_TRACKER', fix: expect.stringContaining('facebook/sam3') })
  })

  it.each(['Sam3TrackerVideoModel', 'Sam3TrackerVideoModel.safetensors'])(
    'of a tracker alone, which follows what is clicked on but takes no text: %s',
    async (layout) => {
      const model = await buildSam3VideoModel({ model: values(layout), ...here })
      expect(await clicked(model)).toEqual(await clicked(base))
      expect(await rejection(model.segment(image, question))).toMatchObject({ code: 'ERR_NO_DETECTOR' })
      const whole = await buildSam3VideoModel({ model: goldenModels.safetensors, ...here })
      const follow = async (video: typeof model) => {
        await using session = await video.startSession(new TestSource((index) => wanderingFrame(index), {}, 4))
        await session.addPoints({ frameIndex: 0, objectId: 1, points: [[80, 60]] })
        const areas: number[] = []
        for await (const { objects } of session.propagate()) areas.push(...objects.map(({ mask }) => mask.area))
        return areas
      }
      expect(await follow(model)).toEqual(await follow(whole))
      await using session = await model.startSession(new TestSource((index) => wanderingFrame(index), {}, 4))
      expect(await rejection(session.addPrompt({ frameIndex: 0, text: 'cup' }))).toMatchObject({
        code: 'ERR_NO_DETECTOR',
      })
      await session.addPoints({ frameIndex: 0, objectId: 1, points: [[80, 60]] }) // still usable
      await Promise.all([model.dispose(), whole.dispose()])
    },
  )

  it.each(['Sam3TrackerModel', 'Sam3TrackerModel.safetensors'])(
    'of %s, which has no memory for videos',
    async (layout) => {
      const model = await build(values(layout))
      expect(await clicked(model)).toEqual(await clicked(base))
      await model.dispose()
      const video = await rejection(buildSam3VideoModel({ model: values(layout), ...here }))
      expect(video).toMatchObject({ code: 'ERR_NO_TRACKER', message: expect.stringContaining('no memory for videos') })
    },
  )
})

type Report = Exclude<NativeWeightReport, { format: 'torchscript' }>
function inspected(report: NativeWeightReport): Report {
  if (report.format === 'torchscript') throw new Error('not a list of weights')
  return report
}
const inspect = (name: string) => inspected(engine.inspectWeights(shapes(name), `${goldenModels.meta}/names.json`))

describe('the layout of weights is told from the names of their tensors', () => {
  const image = { detector: true, clicks: false, video: false }
  const whole = { detector: true, clicks: true, video: true }
  it.each<[string, string, string, object]>([
    ['meta', "Meta's sam3.pt", '', whole],
    ['older_names', "Meta's model under its older names", '', whole],
    ['trainer_image', "Meta's image model", 'model.', image],
    ['image_with_tracker', "Meta's image model", '', whole],
    ['image_with_clicks', "Meta's image model with clicks", 'model.', whole],
    ['detector_only', "Meta's sam3.pt", '', image],
    ['nested', "Meta's sam3.pt", '', whole],
    ['ddp', "Meta's sam3.pt", 'model.module.', whole],
    ['compiled_ddp', "Meta's sam3.pt", '_orig_mod.module.', whole],
    ['fsdp', "Meta's image model", '_fsdp_wrapped_module.', image],
    ['checkpointed', "Meta's image model", '', image],
    ['lightning', "Meta's image model", 'state_dict.model.', image],
    ['lightning_own_name', "Meta's sam3.pt", 'state_dict.segmenter.net.', whole],
    ['key_state_dict', "Meta's image model", 'state_dict.', image],
    ['key_model_state_dict', "Meta's image model", 'model_state_dict.', image],
    ['key_module', "Meta's image model", 'module.', image],
    ['key_net', "Meta's image model", 'net.', image],
    ['key_weights', "Meta's image model", 'weights.', image],
    ['ema_only', "Meta's sam3.pt", 'ema.', whole],
    ['ema_beside', "Meta's image model", 'model.', image],
    ['averaged', "Meta's sam3.pt", 'module.', whole],
    ['half_precision', "Meta's image model", '', image],
    ['hf', 'Sam3VideoModel of transformers', '', whole],
    ['hf_mixed', 'Sam3VideoModel of transformers', '', whole],
    ['hf_detector_ddp', 'Sam3Model of transformers', 'model_state_dict.module.', image],
    ['hf_older_text', 'Sam3Model of transformers', '', image],
  ])('%s', (name, layout, prefix, parts) => {
    const report = inspect(name)
    expect(report.problem).toBeUndefined()
    expect(report).toMatchObject({ layout, prefix, parts })
    const used = Object.values(report.dtypes).reduce((sum, count) => sum + count, 0)
    expect(used).toBe(report.used)
  })

  it('what is not used is named, and counted', () => {
    const { ignored, missing, wrappers } = inspect('trainer_image')
    expect(ignored.find(({ name }) => name === 'optimizer')).toMatchObject({ tensors: 6 })
    expect(missing.find(({ name }) => name === 'tracker_neck')).toMatchObject({ tensors: 18, of: 18 })
    expect(wrappers).toEqual({})
    expect(Object.keys(inspect('fsdp').wrappers)).toEqual(['_fsdp_wrapped_module'])
    expect(inspect('ema_beside').others).toMatchObject([{ name: 'model_ema.module.' }])
    expect(Object.keys(inspect('hf_mixed').dtypes).sort()).toEqual(['BFloat16', 'Float'])
  })

  it.each([
    ['half', 'ERR_WEIGHTS_MISMATCH', /missing \(\d+\)/],
    ['two_sets', 'ERR_MODEL_FORMAT', /"other\." \(\d+ tensors\), "student\." \(\d+ tensors\)/],
    ['lora', 'ERR_WEIGHTS_MISMATCH', /merge_and_unload/],
    ['adapter', 'ERR_MODEL_FORMAT', /merge_and_unload/],
    ['shadow_params', 'ERR_MODEL_FORMAT', /average without names/],
    ['other_model', 'ERR_MODEL_FORMAT', /bert\.embeddings/],
    ['deeper', 'ERR_WEIGHTS_MISMATCH', /unexpected \(1\):\n {2}transformer\.decoder\.layers\.99/],
  ])('%s is refused', async (name, code, message) => {
    const problem = fromNativeError(inspect(name).problem)
    expect(problem).toMatchObject({ code, message: expect.stringMatching(message) })
    cpSync(shapes(name), values(`${name}.pt`))
    const error = await rejection(build(values(`${name}.pt`)))
    expect(error).toMatchObject({ code, message: expect.stringMatching(message), fix: expect.stringMatching(/\S/) })
  })

  it('a file from before PyTorch 1.6 is refused with what to do', () => {
    expect(() => inspect('legacy')).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_FORMAT', message: expect.stringContaining('torch.save') }),
    )
  })
})

describe('sam3-node inspect weights', () => {
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [`${repositoryRoot}/dist/cli.js`, 'inspect', 'weights', ...args], {
      encoding: 'utf8',
      stdio: 'pipe',
    })

  it('says what was recognised, what is ignored and what is missing', () => {
    const text = run(values('trainer'))
    expect(text).toContain("Meta's image model")
    expect(text).toMatch(/Used +\d+ tensors, [\d.]+ million numbers: float32 \(\d+\)/)
    expect(text).toMatch(/Answers +texts and exemplar boxes\n/)
    expect(text).toMatch(/tracker_neck +18 of 18/)
    expect(text).toMatch(/optimizer +6 +as optimizer\.state\.0\.exp_avg/)
    const report = JSON.parse(run(values('Sam3Model'), '--json'))
    expect(report).toMatchObject({ loads: true, layout: 'Sam3Model of transformers', format: 'safetensors' })
    expect(run(goldenModels.checkpoint)).toContain('self-contained')
  })

  it('ends with 1 where the weights cannot be loaded, and says why', () => {
    cpSync(shapes('half'), values('half.pt'))
    const error = (() => {
      try {
        run(values('half.pt'), '--json')
      } catch (failure) {
        return failure as { status: number; stdout: string }
      }
      throw new Error('expected a failure')
    })()
    expect(error.status).toBe(1)
    expect(JSON.parse(error.stdout)).toMatchObject({ loads: false, problem: { code: 'ERR_WEIGHTS_MISMATCH' } })
  })
})
