/** Where the tests find things. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** The project's own goldens. What a test needs of a model, an image or a clip it takes from there. */
export const goldenRoot = `${repositoryRoot}/test/fixtures/golden`
/** The set of goldens that the golden tests replay: the one that SAM3_GOLDEN names, else the project's own. */
export const replayedRoot = process.env.SAM3_GOLDEN ? path.resolve(process.env.SAM3_GOLDEN) : goldenRoot

/** The set of SAM 3.1 that the golden tests replay: the one that SAM3_GOLDEN31 names, else the project's own. */
export const multiplexRoot = process.env.SAM3_GOLDEN31
  ? path.resolve(process.env.SAM3_GOLDEN31)
  : `${repositoryRoot}/test/fixtures/golden31`
/** Its model as a folder that is loaded. */
export const multiplexModel = `${repositoryRoot}/build/test-models-multiplex`

if (!existsSync(`${goldenRoot}/model/model.safetensors`)) {
  throw new Error(`The goldens in ${goldenRoot} are not unpacked. Run: npm run setup fixtures`)
}
if (!existsSync(`${replayedRoot}/cases`) || !existsSync(`${replayedRoot}/model/config.json`)) {
  throw new Error(
    `SAM3_GOLDEN=${process.env.SAM3_GOLDEN}: no set of goldens (cases/, model/config.json) is in ${replayedRoot}. ` +
      "Name one, or unset it to replay the project's own.",
  )
}

/** Golden weights as they are loaded: folders of safetensors and of Meta's file, and a self-contained checkpoint. */
export interface ModelForms {
  folder: string
  safetensors: string
  meta: string
  checkpoint: string
}
const formsIn = (folder: string): ModelForms => ({
  folder,
  safetensors: `${folder}/safetensors`,
  meta: `${folder}/meta`,
  checkpoint: `${folder}/checkpoint.pt`,
})
/** Those of the project's own goldens. */
export const goldenModels = formsIn(`${repositoryRoot}/build/test-models`)
/** Those of the set that is replayed. Only the files that the set has are there. */
export const replayedModels =
  replayedRoot === goldenRoot ? goldenModels : formsIn(`${repositoryRoot}/build/test-models-replayed`)
