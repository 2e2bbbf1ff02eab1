/** Where the files of a model are: a folder, a single file, or a repository of the hub, which is downloaded if need be. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { Sam3ModelError } from '../errors.js'
import { isRepositoryName } from '../hub/layout.js'
import { resolveRepository } from '../hub/resolve.js'
import type { HubOptions } from '../hub/types.js'
import { packageRoot } from '../native/package-root.js'
import { shortened } from '../shown.js'

/** Absolute paths. A self-contained checkpoint carries program and tokenizer inside; the paths then go unused. */
export interface ModelFiles {
  weights: string
  program?: string
  names?: string
  tokenizer?: string
}

/** The model that is meant when none is named. */
export const DEFAULT_MODEL = 'facebook/sam3'

/** The tiny model that ships with the package; its weights are random, so it shows that everything works, and no more. */
const DEMO_MODEL = 'demo'

const WEIGHT_FILES = ['model.safetensors', 'model.safetensors.index.json', 'sam3.pt'] as const
const PROGRAM = 'program.pt'
const NAMES = 'names.json'
const TOKENIZER = 'tokenizer.json'
const CONFIG = 'config.json'

/** The exported network that ships with the package, made for the configuration of facebook/sam3. */
function packagedProgram(): string {
  return join(packageRoot(), 'programs', 'sam3')
}

function ifThere(path: string): string | undefined {
  return existsSync(path) ? path : undefined
}

function notFound(message: string, fix: string): Sam3ModelError {
  return new Sam3ModelError('ERR_MODEL_NOT_FOUND', message, { fix })
}

/** The value at a dotted path, or undefined where the config does not say (and so means its default). */
function valueAt(config: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | null | undefined)?.[key], config)
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new Sam3ModelError('ERR_MODEL_FORMAT', `${path} is not valid JSON.`, { cause, fix: 'Download it again.' })
  }
}

/** What the shapes of the weights cannot show (heads, windows, …) must be what the packaged program was made with. */
function checkConfig(configPath: string, namesPath: string): void {
  const config = readJson(configPath)
  const { config_checks: checks = {} } = readJson(namesPath) as { config_checks?: Record<string, unknown> }
  const differences = Object.entries(checks)
    .map(([path, expected]) => ({ path, expected, actual: valueAt(config, path) }))
    .filter(({ expected, actual }) => actual !== undefined && JSON.stringify(actual) !== JSON.stringify(expected))
  if (differences.length === 0) return
  const list = differences.map(
    ({ path, expected, actual }) => `${path} is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`,
  )
  throw new Sam3ModelError(
    'ERR_MODEL_FORMAT',
    `${configPath} is not the network that this package was made for: ${list.join('; ')}.`,
    {
      fix: `Export a program for it into the same folder: python -m scripts.export program --config ${configPath} --out ${dirname(configPath)}.`,
    },
  )
}

/** Adds program and tokenizer from `folder`, or else from the package. */
function complete(weights: string, folder: string): ModelFiles {
  const files: ModelFiles = { weights }
  const own = existsSync(join(folder, PROGRAM)) && existsSync(join(folder, NAMES)) && join(folder, PROGRAM) !== weights
  const programFolder = own ? folder : packagedProgram()
  if (existsSync(join(programFolder, PROGRAM))) {
    files.program = join(programFolder, PROGRAM)
    files.names = join(programFolder, NAMES)
    const config = ifThere(join(folder, CONFIG))
    if (!own && config) checkConfig(config, files.names)
  }
  const tokenizer = ifThere(join(folder, TOKENIZER)) ?? ifThere(join(packagedProgram(), TOKENIZER))
  if (tokenizer) files.tokenizer = tokenizer
  return files
}

/** Whether a file of weights is there; of an index, whether its shards are. */
function isWhole(path: string): boolean {
  if (!existsSync(path) || !path.endsWith('.index.json')) return existsSync(path)
  try {
    const { weight_map: map } = JSON.parse(readFileSync(path, 'utf8')) as { weight_map: Record<string, string> }
    return Object.values(map).every((shard) => existsSync(join(dirname(path), shard)))
  } catch {
    return false
  }
}

/** What a folder without weights is instead, and what to do about it. */
function whatElse(folder: string): { is: string; fix: string } {
  const cached = /(?:^|\/)models--([^/]+)$/.exec(folder)?.[1]?.replace('--', '/')
  if (cached && existsSync(join(folder, 'snapshots'))) {
    return {
      is: ' It is the folder of a model in a cache of Hugging Face.',
      fix: `Pass model: '${cached}' with cacheDir: '${dirname(folder)}'.`,
    }
  }
  const downloads = join(folder, '.cache/huggingface/download')
  if (existsSync(downloads) && readdirSync(downloads).some((name) => name.endsWith('.incomplete'))) {
    return { is: ' A download into it was not finished.', fix: 'Run the same hf download again: it continues.' }
  }
  return { is: '', fix: 'Pass the folder of a SAM 3 model, or the path of a checkpoint file.' }
}

function fromFolder(folder: string): ModelFiles {
  const candidates = WEIGHT_FILES.map((name) => join(folder, name))
  // An incomplete one is taken where there is nothing else: the engine says what it lacks.
  const weights = candidates.find(isWhole) ?? candidates.find(existsSync)
  if (!weights) {
    const { is, fix } = whatElse(folder)
    throw notFound(`${folder} holds no weights (${WEIGHT_FILES.join(', ')}).${is}`, fix)
  }
  return complete(weights, folder)
}

/**
 * Finds the files of `model`, a path.
 * @throws Sam3ModelError `ERR_MODEL_NOT_FOUND` or `ERR_MODEL_FORMAT`
 */
export function locateModel(model: string): ModelFiles {
  const path = resolve(model)
  if (existsSync(path)) return statSync(path).isDirectory() ? fromFolder(path) : complete(path, dirname(path))
  throw notFound(
    `There is no model at ${shortened(path)}.`,
    `Pass the path of a model folder or of a checkpoint file, or the name of a repository such as '${DEFAULT_MODEL}'.`,
  )
}

/**
 * Finds the files of `model`: a path, or else `demo`, or else the name of a repository such as `facebook/sam3`, which is
 * downloaded unless it is in a cache.
 * @throws Sam3ModelError, Sam3HubError, Sam3InputError, Sam3AbortError
 */
export async function findModel(model: string = DEFAULT_MODEL, hub: HubOptions = {}): Promise<ModelFiles> {
  if (model === DEMO_MODEL && !existsSync(resolve(model))) return fromFolder(join(packageRoot(), 'models', DEMO_MODEL))
  if (existsSync(resolve(model)) || !isRepositoryName(model)) return locateModel(model)
  return fromFolder(await resolveRepository(model, hub))
}
