/** The model that users hold. */
import { recogniseInAllCopies } from '../base/same-class.js'
import type { ImageInput } from '../image/source.js'
import type { ModelInfo, ModelStats, NativeModelInfo } from '../native/contract.js'
import type { CallOptions, PointPrompt, Prompt, PromptInput, PromptList, Prompts } from '../prompt/types.js'
import type { Prediction, Segmentation } from '../result/types.js'
import { encodeImage, predictImage, segmentImage, segmentItems } from './calls.js'
import { EncodedImage } from './encoded-image.js'
import type { Runtime } from './runtime.js'

/** The image of an item of a batch. */
export interface BatchImage {
  /** Anything that `segment` takes. */
  image: ImageInput | EncodedImage
}

/** Several prompts of an item of a batch, each with settings of its own. */
export interface BatchPrompts {
  /** Texts or prompts. */
  prompts: readonly PromptInput[]
}

/** One image of a batch with its prompt: `{ image, text: 'cat' }`, `{ image, text: ['cat', 'dog'] }` or `{ image, prompts: […] }`. */
export type BatchItem = BatchImage & (Prompt | PromptList | BatchPrompts)

/**
 * SAM 3 for images. Calls only enqueue: one engine thread runs them, several together where that is faster, and the
 * event loop stays free. Built by {@link buildSam3ImageModel}.
 */
export class Sam3ImageModel {
  /** Device, number type and sizes. */
  readonly info: ModelInfo
  readonly #runtime: Runtime

  /** @internal */
  constructor(runtime: Runtime) {
    this.#runtime = runtime
    this.info = publicInfo(runtime.native.info)
  }

  /**
   * Finds every instance of a concept, given by a text, exemplar boxes or both.
   *
   * @param image A path, `file:` URL, encoded bytes, raw pixels, a sharp instance, or an encoded image.
   * @param prompt A text, a prompt, or several of them; several run as one batch and give one result each.
   * @returns Instances sorted by score, best first.
   * @throws Sam3InputError for a bad image or prompt (see its codes), Sam3ModelError `ERR_NO_DETECTOR`, Sam3RuntimeError
   * (`ERR_DISPOSED`, `ERR_QUEUE_FULL`, `ERR_OUT_OF_MEMORY`), Sam3AbortError. The model stays usable.
   *
   * @example
   * ```ts
   * const { instances } = await model.segment('truck.jpg', { text: 'wheel', threshold: 0.6 })
   * const [cats, dogs] = await model.segment('pets.jpg', ['cat', 'dog'])
   * await model.segment('shelf.jpg', { boxes: [{ box: [10, 20, 80, 90] }, { box: [200, 20, 280, 90], label: 'negative' }] })
   * ```
   */
  segment(image: ImageInput | EncodedImage, prompt: PromptInput, options?: CallOptions): Promise<Segmentation>
  segment(
    image: ImageInput | EncodedImage,
    prompts: PromptList | readonly PromptInput[],
    options?: CallOptions,
  ): Promise<Segmentation[]>
  async segment(
    image: ImageInput | EncodedImage,
    prompt: Prompts,
    options: CallOptions = {},
  ): Promise<Segmentation | Segmentation[]> {
    return segmentImage(this.#runtime, image, prompt, options)
  }

  /**
   * Segments several images, each with one or several prompts, as few network steps as the memory allows.
   * @returns One list per item, one result per prompt.
   * @throws As {@link Sam3ImageModel.segment}; the message says which item it is about.
   *
   * @example
   * ```ts
   * const [[first], [cats, dogs]] = await model.segmentBatch([
   *   { image: 'a.jpg', text: 'wheel', threshold: 0.6 },
   *   { image: 'b.jpg', text: ['cat', 'dog'] },
   * ])
   * ```
   */
  async segmentBatch(items: readonly BatchItem[], options: CallOptions = {}): Promise<Segmentation[][]> {
    return segmentItems(this.#runtime, items, options)
  }

  /**
   * Encodes an image once, for many questions.
   * @throws Sam3InputError for a bad image, Sam3RuntimeError, Sam3AbortError
   */
  async encode(image: ImageInput, options: CallOptions = {}): Promise<EncodedImage> {
    return new EncodedImage(this.#runtime, await encodeImage(this.#runtime, image, options))
  }

  /**
   * Segments what clicks, a box or a previous mask point at: {@link EncodedImage.predict} for a single question.
   * @throws As {@link EncodedImage.predict}, and for a bad image.
   */
  predict(image: ImageInput | EncodedImage, prompt: PointPrompt, options?: CallOptions): Promise<Prediction>
  predict(
    image: ImageInput | EncodedImage,
    prompts: readonly PointPrompt[],
    options?: CallOptions,
  ): Promise<Prediction[]>
  async predict(
    image: ImageInput | EncodedImage,
    prompt: PointPrompt | readonly PointPrompt[],
    options: CallOptions = {},
  ): Promise<Prediction | Prediction[]> {
    return predictImage(this.#runtime, image, prompt, options)
  }

  /**
   * Counters of the engine since the model was built.
   * @throws Sam3RuntimeError `ERR_DISPOSED`
   */
  stats(): ModelStats {
    this.#runtime.checkAlive()
    return this.#runtime.native.stats()
  }

  /** Frees everything the model holds. Calls that wait or run end with `ERR_DISPOSED`. Safe to call twice. */
  async dispose(): Promise<void> {
    await this.#runtime.dispose()
  }

  /** {@link Sam3ImageModel.dispose}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }
}
recogniseInAllCopies(Sam3ImageModel, 'Sam3ImageModel')

function publicInfo({ maskSide: _side, textContext: _context, tokenizer: _text, ...info }: NativeModelInfo): ModelInfo {
  return info
}
