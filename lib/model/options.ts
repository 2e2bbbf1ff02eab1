/** What a model can be built with, and the checks of it. */
import { availableParallelism } from 'node:os'
import { Sam3InputError } from '../base/errors.js'
import type { HubOptions } from '../hub/types.js'
import type { NativeLoadOptions } from '../native/contract.js'
import { HUB_CHECKS } from '../hub/options.js'
import { type Check, checkKeys, checkListener, checkWholeNumber } from '../base/checks.js'
import { shown } from '../base/shown.js'
import { withoutUndefined } from '../base/without-undefined.js'

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
   * repository, which is downloaded once and then needs no network. Default `'facebook/sam3'`. `'demo'` is a small
   * model of drawings that comes with the package: it knows some hundred words, and a text that it does not know gets a
   * warning.
   */
  model?: string
  /** `'auto'` (default: CUDA where there is a usable GPU), `'cpu'`, `'cuda'` or `'cuda:1'`. */
  device?: 'auto' | 'cpu' | 'cuda' | `cuda:${number}`
  /** Default `'auto'`. */
  dtype?: Dtype
  /** Side of the square network input in pixels. Default: the model's own, 1008. Smaller is faster and coarser. */
  inputSize?: number
  /**
   * CPU threads of one network step; on a GPU those that prepare images and finish masks, 16 at most. Default: all cores but
   * one, so that the event loop breathes.
   */
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

const DTYPES: readonly unknown[] = ['auto', 'float32', 'bfloat16', 'float16']

const path: Check = (value, name) => {
  if (value === undefined || (typeof value === 'string' && value !== '')) return
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${name} must be a path, not ${shown(value)}.`, {
    fix: 'Leave it out for the default.',
  })
}

const count: Check = (value, name) => checkWholeNumber(value, name, 1)

const CHECKS: Readonly<Record<keyof ImageModelOptions, Check>> = {
  ...HUB_CHECKS,
  model: path,
  libtorch: path,
  device: (value) => {
    if (value === undefined || (typeof value === 'string' && /^(auto|cpu|cuda(:\d+)?)$/.test(value))) return
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `There is no device ${shown(value)}.`, {
      fix: "Use 'auto', 'cpu', 'cuda' or 'cuda:N'.",
    })
  },
  dtype: (value) => {
    if (value === undefined || DTYPES.includes(value)) return
    throw new Sam3InputError('ERR_INVALID_DTYPE', `There is no dtype ${shown(value)}.`, {
      fix: `Use one of ${DTYPES.join(', ')}.`,
    })
  },
  inputSize: (value) => {
    if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 1)) return
    const message = `inputSize must be a whole number of pixels, not ${shown(value)}.`
    throw new Sam3InputError('ERR_INVALID_INPUT_SIZE', message, {
      fix: 'Leave it out for the size of the model (1008).',
    })
  },
  onLoadProgress: checkListener,
  threads: count,
  queueLimit: count,
  memoryBudget: count,
  maxBatch: count,
}
const NAMES = Object.keys(CHECKS) as (keyof ImageModelOptions)[]

/**
 * Checks the options and gives those that the engine takes as they are.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`, `ERR_INVALID_DTYPE`, `ERR_INVALID_INPUT_SIZE`; Sam3AbortError
 */
export function checkModelOptions(
  options: ImageModelOptions,
): Omit<NativeLoadOptions, 'program' | 'names' | 'weights'> {
  checkKeys(options, NAMES, 'The options of a model')
  for (const name of NAMES) CHECKS[name](options[name], name)
  const { device = 'auto', dtype = 'auto', threads = Math.max(1, availableParallelism() - 1) } = options
  const { inputSize, queueLimit, memoryBudget, maxBatch } = options
  return withoutUndefined({ device, dtype, inputSize, threads, queueLimit, memoryBudget, maxBatch })
}
