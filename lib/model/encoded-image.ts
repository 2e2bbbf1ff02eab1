/** An image whose features stay on the device, so that each further question costs a fraction of the first. */
import { recogniseInAllCopies } from '../base/same-class.js'
import { Sam3InputError, Sam3RuntimeError } from '../base/errors.js'
import type { NativeImage } from '../native/contract.js'
import type { CallOptions, PointPrompt, PromptInput, PromptList, Prompts } from '../prompt/types.js'
import type { Prediction, Segmentation } from '../result/types.js'
import { predictImage, segmentImage } from './calls.js'
import type { Runtime } from './runtime.js'

/**
 * An encoded image: ask it as often as you like. Holds memory on the device until `dispose()`, the end of a `using`
 * block, or garbage collection.
 *
 * @example
 * ```ts
 * using image = await model.encode('truck.jpg')
 * await image.segment({ text: 'mirror' })
 * const click = await image.predict({ points: [[520, 375]], labels: [1] })
 * const refined = await image.predict({
 *   points: [[520, 375], [610, 380]], labels: [1, 0], maskInput: click.best.mask.logits, multimask: false,
 * })
 * ```
 */
export class EncodedImage {
  /** Width in pixels, EXIF orientation applied. */
  readonly width: number
  /** Height in pixels, EXIF orientation applied. */
  readonly height: number
  readonly #runtime: Runtime
  readonly #native: NativeImage
  #calls = 0
  #disposed = false

  /** @internal Made by `model.encode`. */
  constructor(runtime: Runtime, native: NativeImage) {
    this.#runtime = runtime
    this.#native = native
    this.width = native.width
    this.height = native.height
  }

  /**
   * Finds every instance of a concept, as {@link Sam3ImageModel.segment} does, without encoding the image again.
   * @throws Sam3InputError, Sam3RuntimeError (`ERR_DISPOSED`, `ERR_QUEUE_FULL`, `ERR_OUT_OF_MEMORY`), Sam3AbortError
   */
  segment(prompt: PromptInput, options?: CallOptions): Promise<Segmentation>
  segment(prompts: PromptList | readonly PromptInput[], options?: CallOptions): Promise<Segmentation[]>
  async segment(prompt: Prompts, options: CallOptions = {}): Promise<Segmentation | Segmentation[]> {
    return segmentImage(this.#runtime, this, prompt, options)
  }

  /**
   * Segments what clicks, a box or a previous mask point at, as in SAM 1 and 2. A list of prompts is answered in one
   * call, one prediction for each.
   * @throws Sam3InputError (`ERR_EMPTY_PROMPT`, `ERR_INVALID_POINT`, `ERR_INVALID_BOX`, `ERR_INVALID_MASK`),
   * Sam3RuntimeError (`ERR_DISPOSED`, `ERR_QUEUE_FULL`, `ERR_OUT_OF_MEMORY`), Sam3AbortError
   */
  predict(prompt: PointPrompt, options?: CallOptions): Promise<Prediction>
  predict(prompts: readonly PointPrompt[], options?: CallOptions): Promise<Prediction[]>
  async predict(
    prompt: PointPrompt | readonly PointPrompt[],
    options: CallOptions = {},
  ): Promise<Prediction | Prediction[]> {
    return predictImage(this.#runtime, this, prompt, options)
  }

  /** Gives the device memory back. Calls that are under way finish; later ones fail with `ERR_DISPOSED`. Safe to call twice. */
  dispose(): void {
    this.#disposed = true
    if (this.#calls === 0) this.#native.dispose()
  }

  /** {@link EncodedImage.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }

  /** @internal Lends the features to a call of the model that made them, until `release`. */
  acquire(runtime: Runtime): NativeImage {
    if (runtime !== this.#runtime) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'The image was encoded by another model.', {
        fix: 'Encode it with the model that is asked.',
      })
    }
    if (this.#disposed) {
      throw new Sam3RuntimeError('ERR_DISPOSED', 'The encoded image was disposed.', { fix: 'Encode it again.' })
    }
    this.#calls++
    return this.#native
  }

  /** @internal The call is over. */
  release(): void {
    this.#calls--
    if (this.#disposed && this.#calls === 0) this.#native.dispose()
  }
}
recogniseInAllCopies(EncodedImage, 'EncodedImage')
