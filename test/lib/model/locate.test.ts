/** Where a model's files are found: no network, and a clear answer when something is missing. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { findModel, locateModel } from '../../../lib/model/locate.js'
import { goldenModels, repositoryRoot } from '../../support/paths.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-locate-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A folder with empty files of these names. */
function folderOf(name: string, ...files: string[]): string {
  const target = path.join(folder, name)
  mkdirSync(target, { recursive: true })
  for (const file of files) writeFileSync(path.join(target, file), '')
  return target
}

describe('locateModel', () => {
  it("prefers a program of the folder, and takes safetensors before Meta's file", () => {
    const own = folderOf('own', 'model.safetensors', 'sam3.pt', 'program.pt', 'names.json', 'tokenizer.json')
    expect(locateModel(own)).toEqual({
      weights: path.join(own, 'model.safetensors'),
      program: path.join(own, 'program.pt'),
      names: path.join(own, 'names.json'),
      tokenizer: path.join(own, 'tokenizer.json'),
    })
    expect(locateModel(path.join(own, 'sam3.pt')).weights).toBe(path.join(own, 'sam3.pt'))
    expect(locateModel(path.join(own, 'sam3.pt')).program).toBe(path.join(own, 'program.pt'))
  })

  it("takes the package's program and tokenizer where the folder has none", () => {
    const plain = folderOf('plain', 'model.safetensors.index.json')
    const packaged = path.join(repositoryRoot, 'programs/sam3')
    expect(locateModel(plain)).toEqual({
      weights: path.join(plain, 'model.safetensors.index.json'),
      program: path.join(packaged, 'program.pt'),
      names: path.join(packaged, 'names.json'),
      tokenizer: path.join(packaged, 'tokenizer.json'),
    })
  })

  it('accepts a config that says the same, or less, than the program', () => {
    const partial = folderOf('partial', 'model.safetensors')
    writeFileSync(path.join(partial, 'config.json'), '{"detector_config":{}}')
    expect(locateModel(partial).program).toBe(path.join(repositoryRoot, 'programs/sam3/program.pt'))
  })

  it('refuses a config of another network, and names what differs', () => {
    const other = folderOf('other', 'model.safetensors')
    copyFileSync(`${goldenModels.safetensors}/config.json`, path.join(other, 'config.json'))
    expect(() => locateModel(other)).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_FORMAT', message: expect.stringMatching(/ is \d+, not \d+/) }),
    )
    writeFileSync(path.join(other, 'config.json'), 'no json')
    expect(() => locateModel(other)).toThrow(expect.objectContaining({ code: 'ERR_MODEL_FORMAT' }))
  })

  it('knows the demo model of the package by its name', async () => {
    const demo = path.join(repositoryRoot, 'models/demo')
    expect(await findModel('demo', { offline: true })).toMatchObject({
      weights: path.join(demo, 'model.safetensors'),
      program: path.join(demo, 'program.pt'),
    })
  })

  it('finds a repository in the cache, in the layout of Hugging Face', async () => {
    const commit = '0123456789'.repeat(4)
    const cached = path.join(folder, 'cache/models--sam3-node-test--cached')
    const snapshot = path.join(cached, 'snapshots', commit)
    for (const name of ['refs', 'blobs', `snapshots/${commit}`]) mkdirSync(path.join(cached, name), { recursive: true })
    writeFileSync(path.join(cached, 'refs/main'), `${commit}\n`)
    writeFileSync(path.join(cached, 'blobs/any'), '{}')
    for (const name of ['model.safetensors', 'config.json', 'tokenizer.json']) {
      symlinkSync('../../blobs/any', path.join(snapshot, name))
    }
    const found = await findModel('sam3-node-test/cached', { offline: true, cacheDir: path.join(folder, 'cache') })
    expect(found.weights).toBe(path.join(snapshot, 'model.safetensors'))
  })

  it.each([
    ['a missing folder', './no/such/folder'],
    ['a repository that was not downloaded', 'nobody/nothing'],
    ['a folder without weights', folderOf('bare', 'config.json')],
  ])('says that there is no model: %s', (_name, model) => {
    expect(() => locateModel(model)).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_NOT_FOUND', fix: expect.stringMatching(/\S/) }),
    )
  })
})
