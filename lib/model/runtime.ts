/** A loaded model as the calls share it: the engine, the tokenizer, and the rules that hold for every call. */
import { fromNativeError, Sam3AbortError, Sam3RuntimeError } from '../base/errors.js'
import { checkSignal } from '../base/checks.js'
import type { CallReport, NativeCancelToken, NativeEngine, NativeModel, OnStages } from '../native/contract.js'
import type { CallOptions } from '../prompt/types.js'
import type { TextTokenizer } from '../tokenizer/tokenizer.js'

/** One loaded model. */
export class Runtime {
  readonly native: NativeModel
  readonly tokenizer: TextTokenizer
  /** config.json of the model's folder, where there is one. */
  readonly configFile: string | undefined
  readonly #CancelToken: NativeEngine['CancelToken']
  #disposing: Promise<void> | undefined

  constructor(
    CancelToken: NativeEngine['CancelToken'],
    native: NativeModel,
    tokenizer: TextTokenizer,
    configFile: string | undefined,
  ) {
    this.#CancelToken = CancelToken
    this.native = native
    this.tokenizer = tokenizer
    this.configFile = configFile
  }

  /** @throws Sam3RuntimeError `ERR_DISPOSED` after `dispose()`. */
  checkAlive(): void {
    if (this.#disposing) {
      throw new Sam3RuntimeError('ERR_DISPOSED', 'The model was disposed.', {
        fix: 'Build a new one with buildSam3ImageModel() or buildSam3VideoModel().',
      })
    }
  }

  /**
   * Runs one call of the engine: maps the AbortSignal to a cancel token, native errors to typed ones, and the engine's clock
   * to that of `performance.now()`.
   */
  async run<T>(
    { signal, onStages }: CallOptions,
    call: (token: NativeCancelToken | undefined, onStages: OnStages | undefined) => Promise<T>,
  ): Promise<T> {
    this.checkAlive()
    checkSignal(signal)
    const token = signal && new this.#CancelToken()
    const cancel = () => token?.cancel()
    signal?.addEventListener('abort', cancel, { once: true })
    let report: CallReport | undefined
    const note = (got: CallReport) => {
      report = got
    }
    try {
      return await call(token, onStages && note)
    } catch (error) {
      const typed = fromNativeError(error)
      throw typed instanceof Sam3AbortError && signal?.aborted ? new Sam3AbortError(signal.reason) : typed
    } finally {
      signal?.removeEventListener('abort', cancel)
      if (onStages && report) onStages(onPerformanceClock(report))
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

/** The report with the times of this thread's `performance.now()`, which begins when the thread does. */
function onPerformanceClock(report: CallReport): CallReport {
  const offset = Number(process.hrtime.bigint()) / 1e6 - performance.now()
  const stages = report.stages.map(({ stage, start, end }) => ({ stage, start: start - offset, end: end - offset }))
  return { ...report, stages }
}
