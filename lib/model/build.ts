/** Loads a model. */
import { readFile } from 'node:fs/promises'
import { fromNativeError, Sam3ModelError } from '../base/errors.js'
import { abortable } from '../base/wake.js'
import type { NativeModel } from '../native/contract.js'
import { loadEngine } from '../native/loader.js'
import { TextTokenizer } from '../tokenizer/tokenizer.js'
import { KnownWords } from '../tokenizer/words.js'
import { Sam3ImageModel } from './image-model.js'
import { findModel, type ModelFiles } from './locate.js'
import { checkModelOptions, type ImageModelOptions } from './options.js'
import { Runtime } from './runtime.js'
import { checkSignal } from '../base/checks.js'

/**
 * Loads SAM 3 for images. Weights are memory-mapped and moved to the device one tensor at a time. A model that is named
 * by its repository, such as the default `facebook/sam3`, is downloaded once.
 *
 * @throws Sam3InputError for a bad option, Sam3ModelError (`ERR_MODEL_NOT_FOUND`, `ERR_MODEL_FORMAT`,
 * `ERR_WEIGHTS_CORRUPT`, `ERR_WEIGHTS_MISMATCH`), Sam3HubError (`ERR_MODEL_ACCESS`, `ERR_OFFLINE`, `ERR_DISK_FULL`, …:
 * the model could not be downloaded), Sam3EnvironmentError (`ERR_LIBTORCH_NOT_FOUND`,
 * `ERR_LIBTORCH_VERSION`, `ERR_LIBTORCH_LOAD`, `ERR_ENGINE_NOT_BUILT`, `ERR_DEVICE_UNAVAILABLE`), Sam3RuntimeError
 * (`ERR_OUT_OF_MEMORY`), Sam3AbortError
 *
 * @example
 * ```ts
 * await using model = await buildSam3ImageModel({ model: './sam3', device: 'auto' })
 * const { instances } = await model.segment('truck.jpg', { text: 'wheel' })
 * ```
 */
export async function buildSam3ImageModel(options: ImageModelOptions = {}): Promise<Sam3ImageModel> {
  return new Sam3ImageModel(await loadRuntime(options))
}

/**
 * Finds and loads what every kind of model needs.
 * @param forVideo Refuses weights without a tracker, before they are read: `ERR_NO_TRACKER`.
 * @throws As {@link buildSam3ImageModel}
 */
export async function loadRuntime(options: ImageModelOptions, forVideo = false): Promise<Runtime> {
  const engineOptions = checkModelOptions(options)
  const { tokenizer, words, config, ...files } = await findModel(options.model, options)
  checkSignal(options.signal) // it may have fired while the model was looked for
  const engine = await loadEngine(options.libtorch)
  const { onLoadProgress } = options
  const loading = engine.load(
    { ...engineOptions, ...files, forVideo },
    onLoadProgress && ((done, total) => onLoadProgress({ done, total })),
  )
  const native = await abortable(loading, options.signal).catch((error: unknown) => {
    loading.then((model) => model.dispose()).catch(() => {}) // nobody waits for it any more
    throw fromNativeError(error)
  })
  try {
    return new Runtime(engine.CancelToken, native, await readTokenizer(native, { ...files, tokenizer, words }), config)
  } catch (error) {
    await native.dispose()
    throw error
  }
}

async function readTokenizer({ info }: NativeModel, files: ModelFiles): Promise<TextTokenizer> {
  const words = files.words ? KnownWords.read(await readFile(files.words, 'utf8'), files.words) : undefined
  const { tokenizer, weights } = files
  const { textContext } = info
  if (info.tokenizer) return new TextTokenizer(info.tokenizer, textContext, `The tokenizer inside of ${weights}`, words)
  if (tokenizer) return new TextTokenizer(await readFile(tokenizer, 'utf8'), textContext, tokenizer, words)
  throw new Sam3ModelError('ERR_MODEL_NOT_FOUND', `There is no tokenizer.json for ${weights}.`, {
    fix: 'Put the tokenizer.json of the facebook/sam3 repository beside it.',
  })
}
