/** Which file of a folder holds the weights, and whether its config.json fits the program. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { locateModel } from '../../../lib/model/locate.js'
import { goldenModels, repositoryRoot } from '../../support/paths.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-weight-files-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let made = 0
function folderOf(files: readonly string[], config?: object): string {
  const target = path.join(folder, String(made++))
  mkdirSync(target)
  for (const file of files) writeFileSync(path.join(target, file), '')
  if (config) writeFileSync(path.join(target, 'config.json'), JSON.stringify(config))
  return target
}

describe('the weights of a folder', () => {
  it.each<[string, string[]]>([
    ['model.safetensors', ['pytorch_model.bin', 'model.safetensors', 'optimizer.pt', 'training_args.bin']],
    ['sam3.pt', ['sam3.pt', 'pytorch_model.bin', 'checkpoint.pt']],
    ['pytorch_model.bin.index.json', ['pytorch_model.bin.index.json', 'pytorch_model-00001-of-00002.bin']],
    ['checkpoint.pt', ['checkpoint.pt', 'checkpoint_3.pt']],
    ['last.ckpt', ['last.ckpt', 'optimizer.bin', 'scheduler.pt', 'rng_state.pth', 'program.pt', 'events.log']],
    ['best.pth', ['best.pth', 'adapter_model.safetensors']],
    ['tuned.safetensors.index.json', ['tuned.safetensors.index.json', 'tuned-00001-of-00002.safetensors']],
  ])('are %s', (weights, files) => {
    const target = folderOf(files)
    expect(locateModel(target).weights).toBe(path.join(target, weights))
  })

  it.each<[string, string[], string, RegExp]>([
    ['several files', ['best.pt', 'last.pt'], 'ERR_MODEL_NOT_FOUND', /best\.pt, last\.pt.* Pass the path/],
    ['an adapter', ['adapter_config.json', 'adapter_model.safetensors'], 'ERR_MODEL_FORMAT', /merge_and_unload/],
    ['a distributed checkpoint', ['.metadata', '__0_0.distcp'], 'ERR_MODEL_FORMAT', /dcp_to_torch_save/],
    ['the state of a run', ['optimizer.pt', 'program.pt'], 'ERR_MODEL_NOT_FOUND', /holds no weights/],
  ])('are asked for where there is only %s', (_name, files, code, message) => {
    expect(() => locateModel(folderOf(files))).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
  })
})

describe('config.json', () => {
  const golden = JSON.parse(readFileSync(`${goldenModels.safetensors}/config.json`, 'utf8'))
  const packaged = { detector_config: {}, model_type: 'sam3_video' }

  it.each<[string, object]>([
    ['a whole model', golden],
    ['Sam3Model', { ...golden.detector_config, model_type: 'sam3' }],
    ['Sam3TrackerModel', { ...golden.tracker_config, model_type: 'sam3_tracker' }],
    ['Sam3TrackerVideoModel', { ...golden.tracker_config, model_type: 'sam3_tracker_video' }],
  ])('of %s of another architecture is refused', (_name, config) => {
    expect(() => locateModel(folderOf(['model.safetensors'], config))).toThrow(
      expect.objectContaining({
        code: 'ERR_MODEL_FORMAT',
        message: expect.stringMatching(/image_size is \d+, not 1008/),
      }),
    )
  })

  it.each<[string, object]>([
    ['a whole model', packaged],
    ['Sam3Model', { model_type: 'sam3', vision_config: { backbone_config: { image_size: 1008 } } }],
    ['a tracker', { model_type: 'sam3_tracker_video', vision_config: { backbone_config: { patch_size: 14 } } }],
  ])("of %s as the package's program is taken", (_name, config) => {
    expect(locateModel(folderOf(['model.safetensors'], config)).program).toBe(
      path.join(repositoryRoot, 'programs/sam3/program.pt'),
    )
  })

  it.each(['sam2_video', 'sam3_lite_text', 'toString'])('of a model of type %s is refused', (type) => {
    expect(() => locateModel(folderOf(['model.safetensors'], { model_type: type }))).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_FORMAT', message: expect.stringContaining(type) }),
    )
  })
})
