/** The interface that users of the Python reference know, thin over the model. */
import { recogniseInAllCopies } from '../base/same-class.js'
import { Sam3InputError } from '../base/errors.js'
import type { ImageInput } from '../image/source.js'
import { checkThreshold } from '../base/checks.js'
import { toNumbers } from '../geometry/numbers.js'
import { DEFAULT_THRESHOLD } from '../prompt/text-prompt.js'
import type { BoxPrompt, CallOptions, Prompt } from '../prompt/types.js'
import type { Box, NumberArray } from '../geometry/types.js'
import type { Mask } from '../result/mask.js'
import type { Segmentation } from '../result/types.js'
import { shown } from '../base/shown.js'
import { Turns } from '../base/wake.js'
import type { EncodedImage } from './encoded-image.js'
import type { Sam3ImageModel } from './image-model.js'

/** An image, the prompts given so far, and the last result. Made by {@link Sam3Processor.setImage}. */
export class ProcessorState {
  /** The encoded image. */
  readonly image: EncodedImage
  /** The text, if one was set. */
  text: string | undefined
  /** Exemplars so far, 0..1 of the image. */
  boxPrompts: BoxPrompt[] = []
  /** The last result, if any prompt was given. */
  result: Segmentation | undefined
  readonly #turns = new Turns()

  /** @internal */
  constructor(image: EncodedImage) {
    this.image = image
  }

  /** Masks of the last result, best first. */
  get masks(): Mask[] {
    return this.result?.instances.map(({ mask }) => mask) ?? []
  }

  /** Boxes of the last result in pixels, [x0, y0, x1, y1]. */
  get boxes(): Box[] {
    return this.result?.instances.map(({ box }) => box) ?? []
  }

  /** Scores of the last result. */
  get scores(): number[] {
    return this.result?.instances.map(({ score }) => score) ?? []
  }

  /** @internal Runs `work` when the earlier calls with this state are over: each begins with what the last one left. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.take(work)
  }

  /** Gives the image's device memory back. */
  dispose(): void {
    this.image.dispose()
  }

  /** {@link ProcessorState.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}
recogniseInAllCopies(ProcessorState, 'ProcessorState')

/**
 * `Sam3Processor` of the Python reference, with its semantics: a text replaces the text and keeps the boxes, a box is
 * added to the boxes, and both run at once.
 *
 * @example
 * ```ts
 * const processor = new Sam3Processor(model)
 * using state = await processor.setImage('truck.jpg')
 * await processor.setTextPrompt('wheel', state)
 * await processor.addGeometricPrompt([0.25, 0.7, 0.1, 0.15], true, state)
 * console.log(state.scores, state.boxes, state.masks)
 * ```
 */
export class Sam3Processor {
  readonly #model: Sam3ImageModel
  #threshold: number

  /** @param options.confidenceThreshold Keep instances with a score above this. Default 0.5. */
  constructor(model: Sam3ImageModel, options: { confidenceThreshold?: number } = {}) {
    this.#model = model
    this.#threshold = checkThreshold(options.confidenceThreshold ?? DEFAULT_THRESHOLD)
  }

  /** Encodes an image; pass the state to the other methods. */
  async setImage(image: ImageInput, options: CallOptions = {}): Promise<ProcessorState> {
    return new ProcessorState(await this.#model.encode(image, options))
  }

  /** Sets or replaces the text, keeps the boxes, and runs. */
  async setTextPrompt(prompt: string, state: ProcessorState, options: CallOptions = {}): Promise<ProcessorState> {
    return state.inTurn(() => this.#run(state, { text: prompt, boxPrompts: state.boxPrompts }, options))
  }

  /**
   * Adds an exemplar and runs.
   * @param box [centre x, centre y, width, height], 0..1 of the image, as in the reference.
   * @param label true for "like this", false for "not like this".
   */
  async addGeometricPrompt(
    box: readonly [cx: number, cy: number, width: number, height: number] | NumberArray,
    label: boolean,
    state: ProcessorState,
    options: CallOptions = {},
  ): Promise<ProcessorState> {
    const numbers = toNumbers(box)
    if (numbers?.length !== 4) {
      throw new Sam3InputError(
        'ERR_INVALID_BOX',
        `The box must be four numbers [cx, cy, width, height], not ${shown(box)}.`,
        { fix: 'Pass centre and size as 0..1 of the image.' },
      )
    }
    const [cx, cy, width, height] = numbers as [number, number, number, number]
    const added: BoxPrompt = {
      box: [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2],
      label: label ? 'positive' : 'negative',
    }
    return state.inTurn(() => this.#run(state, { text: state.text, boxPrompts: [...state.boxPrompts, added] }, options))
  }

  /** Forgets text, boxes and results; the image stays encoded. */
  resetAllPrompts(state: ProcessorState): void {
    state.text = undefined
    state.boxPrompts = []
    state.result = undefined
  }

  /** Sets the threshold, and runs again if the state has results. */
  async setConfidenceThreshold(
    threshold: number,
    state?: ProcessorState,
    options: CallOptions = {},
  ): Promise<ProcessorState | undefined> {
    this.#threshold = checkThreshold(threshold)
    return state?.inTurn(async () => (state.result ? this.#run(state, state, options) : state))
  }

  /** The state changes only when the run succeeds. */
  async #run(
    state: ProcessorState,
    next: Pick<ProcessorState, 'text' | 'boxPrompts'>,
    options: CallOptions,
  ): Promise<ProcessorState> {
    const prompt: Prompt = { boxes: next.boxPrompts, normalized: true, threshold: this.#threshold }
    if (next.text !== undefined) prompt.text = next.text
    state.result = await state.image.segment(prompt, options)
    state.text = next.text
    state.boxPrompts = next.boxPrompts
    return state
  }
}
recogniseInAllCopies(Sam3Processor, 'Sam3Processor')
