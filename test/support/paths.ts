/** Where the tests find things. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** The full golden set where it lies beside the repository, else the part of it that is kept as fixtures. */
const goldenFolders = [`${repositoryRoot}/../shared/golden/public`, `${repositoryRoot}/test/fixtures/golden`]
export const goldenRoot = goldenFolders.find((folder) => existsSync(`${folder}/cases`))

const goldenModelFolder = `${repositoryRoot}/build/test-models`
/** The golden weights as they are loaded: a folder of safetensors, Meta's file, a self-contained checkpoint. */
export const goldenModels = {
  folder: goldenModelFolder,
  safetensors: `${goldenModelFolder}/safetensors`,
  meta: `${goldenModelFolder}/meta`,
  checkpoint: `${goldenModelFolder}/checkpoint.pt`,
}
