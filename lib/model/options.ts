/** What a model can be built with, and the checks of it. */
import { availableParallelism } from 'node:os'
import { Sam3InputError } from '../base/errors.js'
import type { HubOptions } from '../hub/types.js'
import type { NativeLoadOptions } from '../native/addon.js'
import { checkHubOptions } from '../hub/options.js'
import { checkKeys, checkWholeNumber } from '../base/checks.js'
import { shown } from '../base/shown.js'

/** Number type of weights and activations. `'auto'`: bfloat16 where the device is fast in it, else float32. */
export type Dtype = 'auto' | 'float32' | 'bfloat16' | 'float16'

/** Bytes of weights read so far, and of all. */
export interface LoadProgress {
  /** Bytes read. */
  done: number
  /** Bytes in all. */
  total: number
}

/** Options of {@link buildSam3ImageModel}. All have defaults. */
export interface ImageModelOptions extends HubOptions {
  /**
   * A model folder (config.json, model.safetensors or sam3.pt, tokenizer.json), a checkpoint file, or the name of a
   * repository, which is downloaded once and then needs no network. Default `'facebook/sam3'`. `'demo'` is a tiny model
   * with random weights that comes with the package.
   */
  model?: string
  /** `'auto'` (default: CUDA where there is a usable GPU), `'cpu'`, `'cuda'` or `'cuda:1'`. */
  device?: 'auto' | 'cpu' | 'cuda' | `cuda:${number}`
  /** Default `'auto'`. */
  dtype?: Dtype
  /** Side of the square network input in pixels. Default: the model's own, 1008. Smaller is faster and coarser. */
  inputSize?: number
  /** CPU threads of one network step. Default: all cores but one, so that the event loop breathes. */
  threads?: number
  /** Calls that may wait; further ones fail with `ERR_QUEUE_FULL`. Default 256. */
  queueLimit?: number
  /** Bytes that a batch may take on the device; larger batches are split. Default: chosen from what is free. */
  memoryBudget?: number
  /** Most images or prompts in one network step. Default: chosen from the memory budget. */
  maxBatch?: number
  /** Folder of LibTorch. Default: `LIBTORCH`, then what `sam3-node libtorch install` brought, then Python environments. */
  libtorch?: string
  /** Called while weights are read, about a hundred times. */
  onLoadProgress?: (progress: LoadProgress) => void
  /** Gives up waiting for the model; a download stops at once, and what has arrived is kept for the next time. */
  signal?: AbortSignal
}

const OPTION_KEYS = [
  'model',
  'device',
  'dtype',
  'inputSize',
  'threads',
  'queueLimit',
  'memoryBudget',
  'maxBatch',
  'libtorch',
  'onLoadProgress',
  'signal',
  'accessToken',
  'cacheDir',
  'revision',
  'offline',
  'onProgress',
] as const
const DTYPES: readonly string[] = ['auto', 'float32', 'bfloat16', 'float16']

/**
 * Checks the options and gives those that the engine takes as they are.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`, `ERR_INVALID_DTYPE`, `ERR_INVALID_INPUT_SIZE`
 */
export function checkModelOptions(
  options: ImageModelOptions,
): Omit<NativeLoadOptions, 'program' | 'names' | 'weights'> {
  checkKeys(options, OPTION_KEYS, 'The options of a model')
  const { device = 'auto', dtype = 'auto', inputSize } = options
  checkHubOptions(options)
  for (const name of ['model', 'libtorch'] as const) {
    if (options[name] !== undefined && (typeof options[name] !== 'string' || options[name] === '')) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} must be a path, not ${shown(options[name])}.`, {
        fix: 'Leave it out for the default.',
      })
    }
  }
  if (typeof device !== 'string' || !/^(auto|cpu|cuda(:\d+)?)$/.test(device)) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `There is no device ${shown(device)}.`, {
      fix: "Use 'auto', 'cpu', 'cuda' or 'cuda:N'.",
    })
  }
  if (!DTYPES.includes(dtype)) {
    throw new Sam3InputError('ERR_INVALID_DTYPE', `There is no dtype ${shown(dtype)}.`, {
      fix: `Use one of ${DTYPES.join(', ')}.`,
    })
  }
  if (inputSize !== undefined && (!Number.isSafeInteger(inputSize) || inputSize < 1)) {
    throw new Sam3InputError(
      'ERR_INVALID_INPUT_SIZE',
      `inputSize must be a whole number of pixels, not ${shown(inputSize)}.`,
      {
        fix: 'Leave it out for the size of the model (1008).',
      },
    )
  }
  if (options.onLoadProgress !== undefined && typeof options.onLoadProgress !== 'function') {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'onLoadProgress must be a function.', {
      fix: 'Leave it out for no progress.',
    })
  }
  return withoutUndefined({
    device,
    dtype,
    inputSize,
    threads: checkWholeNumber(options.threads, 'threads', 1) ?? Math.max(1, availableParallelism() - 1),
    queueLimit: checkWholeNumber(options.queueLimit, 'queueLimit', 1),
    memoryBudget: checkWholeNumber(options.memoryBudget, 'memoryBudget', 1),
    maxBatch: checkWholeNumber(options.maxBatch, 'maxBatch', 1),
  })
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as T
}
