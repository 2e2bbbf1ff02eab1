/** The rules of a session that a model's own config.json sets. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { buildSam3ImageModel } from '../../../../lib/index.js'
import { loadEngine } from '../../../../lib/native/loader.js'
import { readHeuristics } from '../../../../lib/video/session/config-heuristics.js'
import { checkSessionOptions, type SessionOptions } from '../../../../lib/video/session/options.js'
import { buildDemoModel, clip } from '../../../support/demo.js'
import { rejection } from '../../../support/model.js'
import { configOf, modelWithConfig } from '../../../support/model-folder.js'
import { goldenModels, multiplexModel, repositoryRoot } from '../../../support/paths.js'
import { buildTestVideoModel } from '../../../support/video.js'

const box = mkdtempSync(path.join(tmpdir(), 'sam3-config-'))
afterAll(() => rmSync(box, { recursive: true, force: true }))

const modelWith = (model: string, config: string | object) => modelWithConfig(box, model, config)
const demo = path.join(repositoryRoot, 'models/demo')

describe('what a config says of sessions', () => {
  const read = async (config: string | object) => readHeuristics(path.join(modelWith(demo, config), 'config.json'))

  it('is taken under the names of the reference, from the top or from the tracker; the rest is none of ours', async () => {
    const config = {
      model_type: 'sam3_video',
      new_det_thresh: 0.4,
      max_num_objects: 7,
      suppress_unmatched_only_within_hotstart: false,
      hotstart_delay: null,
      recondition_on_trk_masks: true,
      detector_config: { new_det_thresh: 0.9 },
      tracker_config: { mf_threshold: 0.6, num_maskmem: 7 },
    }
    const expected = {
      newDetThresh: 0.4,
      maxNumObjects: 7,
      suppressUnmatchedOnlyWithinHotstart: false,
      mfThreshold: 0.6,
    }
    expect(await read(config)).toEqual(expected)
    expect(await read({ model_type: 'sam3_video' })).toEqual({})
  })

  it('of facebook/sam3 is what the engine does anyway', async () => {
    // The golden model's config was written by transformers, with the values of facebook/sam3.
    const said = readHeuristics(path.join(goldenModels.safetensors, 'config.json'))
    const { videoOptions } = await loadEngine()
    const usual = Object.fromEntries(videoOptions.map(({ name, default: value }) => [name, value]))
    expect(Object.keys(said).length).toBeGreaterThan(12)
    for (const [name, value] of Object.entries(said)) {
      const same = name === 'maxNumObjects' ? -1 : typeof value === 'number' ? Math.fround(value) : value
      expect([name, usual[name]]).toEqual([name, same])
    }
  })

  it.each<[string, string | object, string]>([
    ['a value out of range', { new_det_thresh: 1.5 }, 'newDetThresh'],
    ['a value of another type', { tracker_config: { use_memory_selection: 'yes' } }, 'useMemorySelection'],
    ['values that contradict each other', { init_trk_keep_alive: 40 }, 'initTrkKeepAlive'],
    ['a threshold beyond the delay', { hotstart_delay: 3, hotstart_dup_thresh: 4 }, 'hotstartDupThresh'],
    ['text that is no JSON', '{"new_det_thresh": ', 'not valid JSON'],
  ])('%s is refused', async (_, config, said) => {
    const error = await rejection(read(config))
    expect(error).toMatchObject({ code: 'ERR_MODEL_FORMAT' })
    expect(error.message).toContain(said)
    expect(error.message).toContain('config.json')
  })
})

describe('what the engine is told with them', () => {
  const source = { width: 8, height: 6, frameCount: 5 } as never
  const native = (options: SessionOptions, defaults: SessionOptions, isLive = false) =>
    checkSessionOptions(options, false, defaults).native(source, isLive)

  it('an option of the call counts more', () => {
    const defaults = { newDetThresh: 0.4, mfThreshold: 0.6 }
    expect(native({}, defaults)).toMatchObject(defaults)
    expect(native({ newDetThresh: 0 }, defaults)).toMatchObject({ newDetThresh: 0, mfThreshold: 0.6 })
  })

  it('they go together with the options of the call, or are cut to fit', () => {
    const delays = { hotstartDelay: 20, hotstartUnmatchThresh: 12, hotstartDupThresh: 9 }
    expect(native({}, delays)).toMatchObject(delays)
    expect(native({ hotstartDelay: 10 }, delays)).toMatchObject({ hotstartUnmatchThresh: 10, hotstartDupThresh: 9 })
    expect(native({}, delays, true)).toMatchObject({ hotstartDelay: 0, hotstartUnmatchThresh: 0 })
    expect(() => native({ hotstartUnmatchThresh: 18 }, delays)).not.toThrow()
    expect(() => native({ hotstartUnmatchThresh: 18 }, { hotstartDelay: 16 })).toThrow('hotstartUnmatchThresh')
    expect(() => native({ minTrkKeepAlive: 5 }, { initTrkKeepAlive: 4 })).toThrow('initTrkKeepAlive')
  })
})

describe('a model with a config of its own', () => {
  it('follows by its rules, unless a call says otherwise', async () => {
    const config = { ...configOf(demo), score_threshold_detection: 1 }
    await using model = await buildDemoModel({ model: modelWith(demo, config) })
    const count = async (options: SessionOptions) => {
      await using session = await model.startSession(clip.folder, { hotstartDelay: 0, ...options })
      await session.addPrompt({ frameIndex: 0, text: 'dog' })
      for await (const { objects } of session.propagate({ maxFrames: 2 })) if (objects.length > 0) return objects.length
      return 0
    }
    expect(await count({})).toBe(0)
    expect(await count({ scoreThresholdDetection: 0.5 })).toBe(1)
  })

  it('with rules that no session takes is refused for videos, and is a model for images all the same', async () => {
    const model = modelWith(demo, { ...configOf(demo), det_nms_thresh: -1 })
    const error = await rejection(buildDemoModel({ model }))
    expect(error).toMatchObject({ code: 'ERR_MODEL_FORMAT' })
    expect(error.message).toContain('detNmsThresh must be a number from 0 to 1, not -1')
    await using image = await buildSam3ImageModel({ model, device: 'cpu' })
    expect(image.info.slots).toBe(0)
  })

  it('of SAM 3.1 goes by its reference, whose rules that file does not have', async () => {
    const config = { ...configOf(multiplexModel), det_nms_thresh: -1 }
    await using model = await buildTestVideoModel({ model: modelWith(multiplexModel, config) })
    expect(model.info.slots).toBeGreaterThan(0)
  })
})
