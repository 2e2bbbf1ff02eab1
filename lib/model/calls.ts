/** The two questions that a model answers, for images that are encoded already and for those that are not. */
import { Sam3Error, Sam3InputError } from '../errors.js'
import { decodeImage } from '../image/decode.js'
import type { DecodedImage, ImageInput } from '../image/source.js'
import type { NativeImage, NativeRawImage } from '../native/addon.js'
import { checkKeys } from '../prompt/checks.js'
import { preparePointPrompt } from '../prompt/point-prompt.js'
import { expandPrompts, preparePrompt } from '../prompt/text-prompt.js'
import type { CallOptions, PointPrompt, Prompt, PromptInput, PromptList } from '../prompt/types.js'
import type { Prediction, Segmentation } from '../result/types.js'
import { EncodedImage } from './encoded-image.js'
import { toPredictions, toSegmentation } from './results.js'
import { checkSignal, type Runtime } from './runtime.js'

/** One image of a batch with its prompt: `{ image, text: 'cat' }`, `{ image, text: ['cat', 'dog'] }` or `{ image, prompts: […] }`. */
export type BatchItem = { image: ImageInput | EncodedImage } & (
  | Prompt
  | PromptList
  | { prompts: readonly PromptInput[] }
)

/** Images decoded and handed to the engine at a time: a thousand decoded photographs would fill the memory. */
const IMAGES_AT_A_TIME = 16

const CALL_KEYS = ['signal'] as const

/** Checks the options of a call before any work is done for it. */
export function checkCall(runtime: Runtime, options: CallOptions): void {
  checkKeys(options, CALL_KEYS, 'The options of a call')
  runtime.checkAlive()
  checkSignal(options.signal)
}

/** An image as the engine takes it: its features where it was encoded, else its pixels. */
async function toEngineImage(
  runtime: Runtime,
  image: ImageInput | EncodedImage,
): Promise<NativeImage | NativeRawImage> {
  return image instanceof EncodedImage ? image.native(runtime) : decodeImage(image)
}

/** Segments one image with one or several prompts; the answers come in the order of the prompts. */
export async function segmentImage(
  runtime: Runtime,
  image: ImageInput | EncodedImage,
  input: PromptInput | PromptList | readonly PromptInput[],
  options: CallOptions,
): Promise<Segmentation | Segmentation[]> {
  checkCall(runtime, options)
  const { prompts, isList } = expandPrompts(input)
  const [results] = await segmentChunk(runtime, [{ image, prompts }], options)
  return isList ? results! : results![0]!
}

/** Segments several images, each with its own prompts. Result: [item][prompt]. */
export async function segmentItems(
  runtime: Runtime,
  items: readonly BatchItem[],
  options: CallOptions,
): Promise<Segmentation[][]> {
  checkCall(runtime, options)
  if (!Array.isArray(items)) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'A batch must be a list of images with prompts.', {
      fix: "Pass segmentBatch([{ image: 'a.jpg', text: 'cat' }, …]).",
    })
  }
  // What can be checked without the images is checked before the first one is read.
  const expanded = (items as readonly BatchItem[]).map((item, index) => {
    try {
      return expandItem(item)
    } catch (error) {
      throw named(index, error)
    }
  })
  const results: Segmentation[][] = []
  for (let from = 0; from < expanded.length; from += IMAGES_AT_A_TIME) {
    checkSignal(options.signal)
    results.push(...(await segmentChunk(runtime, expanded.slice(from, from + IMAGES_AT_A_TIME), options, from)))
  }
  return results
}

function expandItem(item: BatchItem): { image: ImageInput | EncodedImage; prompts: Prompt[] } {
  if (typeof item !== 'object' || item === null || !('image' in item)) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'it has no image.', {
      fix: "Pass { image: 'a.jpg', text: 'cat' }.",
    })
  }
  const { image, ...prompt } = item
  if (!('prompts' in prompt)) return { image, prompts: expandPrompts(prompt).prompts }
  checkKeys(prompt, ['prompts'], 'Besides its image, an item with prompts')
  return { image, prompts: expandPrompts(prompt.prompts).prompts }
}

/** Says in the message of an error which item of a batch it is about. */
function named(index: number, error: unknown): unknown {
  if (error instanceof Sam3Error && error.code !== 'ABORT_ERR')
    error.message = `Item ${index} of the batch: ${error.message}`
  return error
}

async function segmentChunk(
  runtime: Runtime,
  items: readonly { image: ImageInput | EncodedImage; prompts: Prompt[] }[],
  options: CallOptions,
  firstIndex?: number,
): Promise<Segmentation[][]> {
  const prepared = await Promise.all(
    items.map(async ({ image, prompts }, index) => {
      try {
        const engineImage = await toEngineImage(runtime, image)
        return {
          image: engineImage,
          prompts: prompts.map((prompt) => preparePrompt(prompt, engineImage, runtime.tokenizer)),
        }
      } catch (error) {
        throw firstIndex === undefined ? error : named(firstIndex + index, error)
      }
    }),
  )
  const asked = prepared.filter(({ prompts }) => prompts.length > 0)
  const answers = await runtime.run(options, (token) =>
    asked.length === 0
      ? Promise.resolve([])
      : runtime.native.segment(
          asked.map(({ image, prompts }) => ({ image, prompts: prompts.map(({ native }) => native) })),
          token,
        ),
  )
  return prepared.map(({ image, prompts }) => {
    if (prompts.length === 0) return []
    const answer = answers.shift()!
    return prompts.map((prompt, index) => toSegmentation(answer[index]!, prompt, image.width, image.height))
  })
}

/** Answers one click prompt, or several in one call. */
export async function predictImage(
  runtime: Runtime,
  image: ImageInput | EncodedImage,
  input: PointPrompt | readonly PointPrompt[],
  options: CallOptions,
): Promise<Prediction | Prediction[]> {
  checkCall(runtime, options)
  const isList = Array.isArray(input)
  const engineImage = await toEngineImage(runtime, image)
  const { width, height } = engineImage
  const prepared = (isList ? (input as readonly PointPrompt[]) : [input as PointPrompt]).map((prompt, index) => {
    try {
      return { index, ...preparePointPrompt(prompt, engineImage, runtime.network) }
    } catch (error) {
      throw isList ? named(index, error) : error
    }
  })
  const results: Prediction[] = []
  // The engine answers all sets of a call with three masks or all with one.
  for (const multimask of [true, false]) {
    const sets = prepared.filter((prompt) => prompt.multimask === multimask)
    if (sets.length === 0) continue
    const answer = await runtime.run(options, (token) =>
      runtime.native.predict(
        engineImage,
        sets.map(({ native }) => native),
        { multimask },
        token,
      ),
    )
    toPredictions(answer, width, height).forEach((prediction, at) => {
      results[sets[at]!.index] = prediction
    })
  }
  return isList ? results : results[0]!
}

/** Encodes one image for many questions. */
export async function encodeImage(runtime: Runtime, image: ImageInput, options: CallOptions): Promise<EncodedImage> {
  checkCall(runtime, options)
  const decoded: DecodedImage = await decodeImage(image)
  const [native] = await runtime.run(options, (token) => runtime.native.encode([decoded], token))
  return new EncodedImage(runtime, native!)
}
