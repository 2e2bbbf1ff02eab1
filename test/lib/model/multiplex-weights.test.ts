/** Weights of SAM 3.1 as they are found: under older names, beside a config.json that was made for SAM 3. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildSam3VideoModel, type Sam3Error } from '../../../lib/index.js'
import { rejection } from '../../support/model.js'
import { goldenModels, multiplexModel, multiplexRoot } from '../../support/paths.js'
import { goldenClip, TestSource } from '../../support/video.js'

const here = { device: 'cpu', dtype: 'float32' } as const
let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'sam3-multiplex-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const read = (file: string) => readFileSync(path.join(multiplexModel, file))

const sam3 = (file: string) => () => readFileSync(path.join(goldenModels.safetensors, file))

/** A model folder with these files in the place of the set's own. */
function modelWith(name: string, files: Record<string, Buffer | string>): string {
  const made = mkdtempSync(path.join(folder, `${name}-`))
  const weights = 'sam3.1_multiplex.pt' in files ? [] : ['model.safetensors']
  for (const file of ['config.json', 'tokenizer.json', 'program.pt', 'names.json', ...weights]) {
    if (!(file in files)) symlinkSync(path.join(multiplexModel, file), path.join(made, file))
  }
  for (const [file, content] of Object.entries(files)) writeFileSync(path.join(made, file), content)
  return made
}

/** The same tensors under other names: only the header of the file changes. */
function renamed(rename: (name: string) => string): Buffer {
  const bytes = read('model.safetensors')
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const entries = Object.entries(JSON.parse(bytes.toString('utf8', 8, start)))
  const header = JSON.stringify(
    Object.fromEntries(entries.map(([name, entry]) => [name === '__metadata__' ? name : rename(name), entry])),
  )
  const padded = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  return Buffer.concat([length, padded, bytes.subarray(start)])
}

/** What the defaults of the model find on the first frames of the clip of the goldens. */
async function found(model: string) {
  await using loaded = await buildSam3VideoModel({ model, ...here })
  expect(loaded.info.slots).toBeGreaterThan(0)
  await using session = await loaded.startSession(new TestSource((await goldenClip()).slice(0, 3)))
  const { objects } = await session.addPrompt({ frameIndex: 0, text: 'red circle' })
  const all = objects.map(({ id, score, mask }) => ({ id, score, mask: mask.toRle() }))
  for await (const { frameIndex, objects } of session.propagate()) {
    all.push(...objects.map(({ id, score, mask }) => ({ id: 100 * frameIndex + id, score, mask: mask.toRle() })))
  }
  return all
}

describe('weights of SAM 3.1', () => {
  let expected: Awaited<ReturnType<typeof found>>
  beforeAll(async () => {
    expected = await found(multiplexModel)
    expect(expected.length).toBeGreaterThan(1)
  })

  const older = (name: string) => name.replace(/^detector\./, 'sam3_model.').replace(/^tracker\./, 'sam2_predictor.')
  it.each<[string, (name: string) => string]>([
    ['with the older names of its halves', older],
    ['with those names under "model"', (name) => `model.${older(name)}`],
    ['under "model"', (name) => `model.${name}`],
  ])('%s', async (_, rename) => {
    const model = modelWith('renamed', { 'model.safetensors': renamed(rename) })
    expect(await found(model)).toEqual(expected)
  })

  it("as Meta's file has them, whose name is enough", async () => {
    const model = modelWith('meta', { 'sam3.1_multiplex.pt': '' })
    copyFileSync(path.join(multiplexRoot, 'model/sam3.1_multiplex.pt'), path.join(model, 'sam3.1_multiplex.pt'))
    expect(await found(model)).toEqual(expected)
  })

  it.each<[string, Record<string, () => Buffer>, string, RegExp]>([
    [
      "with SAM 3's program",
      { 'config.json': sam3('config.json'), 'program.pt': sam3('program.pt'), 'names.json': sam3('names.json') },
      'ERR_WEIGHTS_MISMATCH',
      /It is SAM 3\.1, another network/,
    ],
    [
      'of SAM 3 with this program',
      { 'model.safetensors': sam3('model.safetensors') },
      'ERR_WEIGHTS_MISMATCH',
      /It is SAM 3, another network/,
    ],
    [
      'of which the decoder of clicks is missing',
      { 'model.safetensors': () => renamed((name) => name.replace('interactive_sam_mask_decoder', 'other_decoder')) },
      'ERR_WEIGHTS_MISMATCH',
      /^(?!.*another network).*missing/s,
    ],
    [
      'that were cut off',
      { 'model.safetensors': () => read('model.safetensors').subarray(0, 3_000_000) },
      'ERR_WEIGHTS_CORRUPT',
      /./,
    ],
  ])('%s are refused', async (_, files, code, message) => {
    const made = modelWith('wrong', Object.fromEntries(Object.entries(files).map(([name, make]) => [name, make()])))
    const error = (await rejection(buildSam3VideoModel({ model: made, ...here }))) as Sam3Error
    expect(error).toMatchObject({ code, fix: expect.stringMatching(/\S/) })
    expect(`${error.message} ${error.fix}`).toMatch(message)
  })

  // Names as facebook/sam3.1 has them, with values under which something else would be found.
  it('whatever thresholds a config.json has that was made for SAM 3', async () => {
    const stale = {
      score_threshold_detection: 0.999,
      new_det_thresh: 0.999,
      assoc_iou_thresh: 0.999,
      trk_assoc_iou_thresh: 0.999,
      det_nms_thresh: 0.001,
      max_num_objects: 1,
      hotstart_delay: 1,
      fill_hole_area: 4000,
      recondition_every_nth_frame: 1,
      masklet_confirmation_enable: false,
      suppress_det_close_to_boundary: false,
    }
    const config = { ...JSON.parse(read('config.json').toString()), ...stale }
    const model = modelWith('stale', { 'config.json': JSON.stringify(config) })
    expect(await found(model)).toEqual(expected)
  })
})
