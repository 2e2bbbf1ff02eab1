/** facebook/sam3.1: Meta's file under another name, beside a config.json that says what held for SAM 3. */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import { findModel } from '../../../lib/model/locate.js'
import { type HubFile, makeRepository, modelFiles, seededBytes } from '../../support/hub-server/repository.js'
import { bundle, runProgram, sandbox } from '../../support/hub-server/sandbox.js'
import { rejection } from '../../support/model.js'

const REPO = 'facebook/sam3.1'
const WEIGHTS = 'sam3.1_multiplex.pt'
/** As the repository has them: those of SAM 3, which the weights were not made for. */
const STALE = { score_threshold_detection: 0.5, new_det_thresh: 0.7, assoc_iou_thresh: 0.1, fill_hole_area: 16 }

const box = sandbox()
const { server } = box
let folder: string

function serve(more: Record<string, HubFile> = {}): void {
  const { 'model.safetensors': _own, 'sam3.pt': _old, ...rest } = modelFiles(1000)
  const config = {
    content: Buffer.from(JSON.stringify({ model_type: 'sam3_video', ...STALE })),
    lfs: false,
    xet: false,
  }
  const weights = { content: seededBytes(50_000, 31), lfs: true, xet: false }
  server.repositories.set(REPO, makeRepository({ ...rest, 'config.json': config, [WEIGHTS]: weights, ...more }, true))
}

beforeEach(() => {
  box.fresh()
  serve()
  folder = path.join(box.cache, 'models--facebook--sam3.1')
})

it('is downloaded as what it needs and no more, once', async () => {
  const notes = { content: seededBytes(900_000, 5), lfs: true, xet: false }
  serve({ 'assets/demo.mp4': notes, 'training_state.bin': notes })
  const snapshot = await resolveRepository(REPO, {}, box.env())
  expect(path.dirname(path.dirname(snapshot))).toBe(folder)
  expect(readdirSync(snapshot).sort()).toEqual(['config.json', WEIGHTS, 'tokenizer.json', 'tokenizer_config.json'])
  server.requests.length = 0
  expect(await resolveRepository(REPO, {}, box.env())).toBe(snapshot)
  expect(server.requests).toEqual([])
})

it('is found by its name, whatever thresholds its config.json says', async () => {
  const snapshot = await resolveRepository(REPO, {}, box.env())
  const files = await findModel(REPO, { cacheDir: box.cache, offline: true })
  expect(files).toMatchObject({
    weights: path.join(snapshot, WEIGHTS),
    tokenizer: path.join(snapshot, 'tokenizer.json'),
  })
})

it("is complete as Meta's loader leaves it: the file of weights alone", async () => {
  server.repositories.get(REPO)!.commits.forEach((files) => {
    for (const name of [...files.keys()]) if (name !== WEIGHTS) files.delete(name)
  })
  const snapshot = await resolveRepository(REPO, {}, box.env())
  expect(readdirSync(snapshot)).toEqual([WEIGHTS])
  expect((await findModel(REPO, { cacheDir: box.cache, offline: true })).tokenizer).toMatch(/programs\/sam3\/tokenizer/)
})

it('is pulled by the command line', async () => {
  const { code, stdout, stderr } = await runProgram(
    process.execPath,
    [await bundle('lib/cli/main.ts'), 'pull', REPO],
    box.processEnv(),
  )
  expect(code, stderr).toBe(0)
  expect(readdirSync(stdout.trim())).toContain(WEIGHTS)
})

it('says which names would do where a repository has none of them', async () => {
  server.repositories.get(REPO)!.commits.forEach((files) => void files.delete(WEIGHTS))
  expect(await rejection(resolveRepository(REPO, {}, box.env()))).toMatchObject({ code: 'ERR_HUB_RESPONSE' })
  expect(await rejection(resolveRepository(REPO, { offline: true }, box.env()))).toMatchObject({
    code: 'ERR_OFFLINE',
    message: expect.stringContaining(`sam3.pt or ${WEIGHTS}`),
  })
})
