/** Where the tests find things. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** The goldens: those that SAM3_GOLDEN names, the full set beside the repository, or the part kept as fixtures. */
const goldenFolders = [
  process.env.SAM3_GOLDEN,
  `${repositoryRoot}/../shared/golden/public`,
  `${repositoryRoot}/test/fixtures/golden`,
]
export const goldenRoot = goldenFolders.find((folder) => folder !== undefined && existsSync(`${folder}/cases`))

const goldenModelFolder = `${repositoryRoot}/build/test-models`
/** The golden weights as they are loaded: a folder of safetensors, Meta's file, a self-contained checkpoint. */
export const goldenModels = {
  folder: goldenModelFolder,
  safetensors: `${goldenModelFolder}/safetensors`,
  meta: `${goldenModelFolder}/meta`,
  checkpoint: `${goldenModelFolder}/checkpoint.pt`,
}
