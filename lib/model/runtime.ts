/** A loaded model as the calls share it: the engine, the tokenizer, and the rules that hold for every call. */
import { fromNativeError, Sam3AbortError, Sam3RuntimeError } from '../base/errors.js'
import { checkSignal } from '../base/checks.js'
import type { NativeCancelToken, NativeEngine, NativeModel } from '../native/contract.js'
import type { CallOptions } from '../prompt/types.js'
import type { TextTokenizer } from '../tokenizer/tokenizer.js'

/** One loaded model. */
export class Runtime {
  readonly native: NativeModel
  readonly tokenizer: TextTokenizer
  readonly #CancelToken: NativeEngine['CancelToken']
  #disposing: Promise<void> | undefined

  constructor(CancelToken: NativeEngine['CancelToken'], native: NativeModel, tokenizer: TextTokenizer) {
    this.#CancelToken = CancelToken
    this.native = native
    this.tokenizer = tokenizer
  }

  /** @throws Sam3RuntimeError `ERR_DISPOSED` after `dispose()`. */
  checkAlive(): void {
    if (this.#disposing) {
      throw new Sam3RuntimeError('ERR_DISPOSED', 'The model was disposed.', {
        fix: 'Build a new one with buildSam3ImageModel() or buildSam3VideoModel().',
      })
    }
  }

  /** Runs one call of the engine: maps the AbortSignal to a cancel token and native errors to typed ones. */
  async run<T>({ signal }: CallOptions, call: (token: NativeCancelToken | undefined) => Promise<T>): Promise<T> {
    this.checkAlive()
    checkSignal(signal)
    const token = signal && new this.#CancelToken()
    const cancel = () => token?.cancel()
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      return await call(token)
    } catch (error) {
      const typed = fromNativeError(error)
      throw typed instanceof Sam3AbortError && signal?.aborted ? new Sam3AbortError(signal.reason) : typed
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  }

  /** Frees everything; calls that wait or run end with `ERR_DISPOSED`. Safe to call twice. */
  dispose(): Promise<void> {
    this.#disposing ??= this.native.dispose().catch((error: unknown) => {
      throw fromNativeError(error)
    })
    return this.#disposing
  }
}
