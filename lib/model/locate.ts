/** Where the files of a model are: a folder, a single file, or a repository of the hub, which is downloaded if need be. */
import { existsSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { Sam3ModelError } from '../base/errors.js'
import { isRepositoryName } from '../hub/layout.js'
import { resolveRepository } from '../hub/resolve.js'
import type { HubOptions } from '../hub/types.js'
import { packageRoot } from '../base/package-root.js'
import { shortened } from '../base/shown.js'
import { checkConfig } from './config.js'
import { weightFileOf } from './weight-files.js'
import { kindOfWeights, type ModelKind } from './weight-kind.js'

/** Absolute paths. A self-contained checkpoint carries program and tokenizer inside; the paths then go unused. */
export interface ModelFiles {
  weights: string
  program?: string
  names?: string
  tokenizer?: string
  /** config.json of its folder. */
  config?: string
  /** The words that the model was trained on, where its folder lists them. */
  words?: string
}

/** The model that is meant when none is named. */
export const DEFAULT_MODEL = 'facebook/sam3'

/** The small model that ships with the package: it knows some hundred words, as drawings show them. */
const DEMO_MODEL = 'demo'

const PROGRAM = 'program.pt'
const NAMES = 'names.json'
const TOKENIZER = 'tokenizer.json'
const CONFIG = 'config.json'
const WORDS = 'words.json'

/** The exported network that ships with the package, made for the configuration of facebook/sam3 or facebook/sam3.1. */
function packagedProgram(kind: ModelKind): string {
  return join(packageRoot(), 'programs', kind)
}

function ifThere(path: string): string | undefined {
  return existsSync(path) ? path : undefined
}

function notFound(message: string, fix: string): Sam3ModelError {
  return new Sam3ModelError('ERR_MODEL_NOT_FOUND', message, { fix })
}

/** Adds program and tokenizer from `folder`, or else from the package. */
function complete(weights: string, folder: string): ModelFiles {
  const files: ModelFiles = { weights }
  const own = existsSync(join(folder, PROGRAM)) && existsSync(join(folder, NAMES)) && join(folder, PROGRAM) !== weights
  const config = ifThere(join(folder, CONFIG))
  if (config) files.config = config
  const programFolder = own ? folder : packagedProgram(kindOfWeights(weights))
  if (existsSync(join(programFolder, PROGRAM))) {
    files.program = join(programFolder, PROGRAM)
    files.names = join(programFolder, NAMES)
    if (!own && config) checkConfig(config, files.names)
  }
  const tokenizer = ifThere(join(folder, TOKENIZER)) ?? ifThere(join(packagedProgram('sam3'), TOKENIZER))
  if (tokenizer) files.tokenizer = tokenizer
  const words = ifThere(join(folder, WORDS))
  if (words) files.words = words
  return files
}

function fromFolder(folder: string): ModelFiles {
  return complete(weightFileOf(folder), folder)
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
