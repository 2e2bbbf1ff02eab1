/** The two questions that a model answers, for images that are encoded already and for those that are not. */
import { Sam3Error, Sam3InputError } from '../base/errors.js'
import { decodeImage } from '../image/decode.js'
import type { ImageInput } from '../image/source.js'
import type { NativeImage, RgbImage } from '../native/contract.js'
import { checkKeys, checkSignal } from '../base/checks.js'
import { shown } from '../base/shown.js'
import { preparePointPrompt } from '../prompt/point-prompt.js'
import { expandPrompts, preparePrompt } from '../prompt/text-prompt.js'
import type { CallOptions, PointPrompt, Prompt, PromptInput, PromptList, Prompts } from '../prompt/types.js'
import type { Prediction, Segmentation } from '../result/types.js'
import { toPredictions, toSegmentation } from './results.js'
import type { Runtime } from './runtime.js'

/** Images decoded and handed to the engine at a time: a thousand decoded photographs would fill the memory. */
const IMAGES_AT_A_TIME = 8
/** While the engine works on some images, the next ones are decoded. */
const CHUNKS_AT_A_TIME = 2
/** On a GPU some are finished as well, and some wait for it to be free. */
const CHUNKS_AT_A_TIME_ON_GPU = 4

const CALL_KEYS = ['signal', 'onStages'] as const

/** Checks the options of a call before any work is done for it. */
export function checkCall(runtime: Runtime, options: CallOptions): void {
  checkKeys(options, CALL_KEYS, 'The options of a call')
  runtime.checkAlive()
  checkSignal(options.signal)
  if (options.onStages !== undefined && typeof options.onStages !== 'function') {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `onStages must be a function, not ${shown(options.onStages)}.`, {
      fix: 'Pass a function that takes a CallReport, or leave it out.',
    })
  }
}

type EngineImage = NativeImage | RgbImage

/** An image that was encoded before: it lends its features to a call of the model that made them. */
export interface FeatureLender {
  acquire(runtime: Runtime): NativeImage
  /** The call is over. */
  release(): void
}

type AskedImage = ImageInput | FeatureLender

function isLender(image: AskedImage): image is FeatureLender {
  return typeof image === 'object' && image !== null && 'acquire' in image && 'release' in image
}

/** Runs `work` with images as the engine takes them: features where an image was encoded, else its pixels. */
async function withImages<T>(
  runtime: Runtime,
  images: readonly AskedImage[],
  work: (images: Promise<EngineImage>[]) => Promise<T>,
): Promise<T> {
  const lent: FeatureLender[] = []
  try {
    return await work(
      images.map(async (image) => {
        if (!isLender(image)) return decodeImage(image)
        const features = image.acquire(runtime)
        lent.push(image)
        return features
      }),
    )
  } finally {
    for (const image of lent) image.release()
  }
}

/** Segments one image with one or several prompts; the answers come in the order of the prompts. */
export async function segmentImage(
  runtime: Runtime,
  image: AskedImage,
  input: Prompts,
  options: CallOptions,
): Promise<Segmentation | Segmentation[]> {
  checkCall(runtime, options)
  const { prompts, isList } = expandPrompts(input)
  const [results] = await segmentChunk(runtime, [{ image, prompts }], options)
  return isList ? results! : results![0]!
}

type AskedItem = { image: AskedImage } & (Prompt | PromptList | { prompts: readonly PromptInput[] })

/** Segments several images, each with its own prompts. Result: [item][prompt]. */
export async function segmentItems(
  runtime: Runtime,
  items: readonly AskedItem[],
  options: CallOptions,
): Promise<Segmentation[][]> {
  checkCall(runtime, options)
  if (!Array.isArray(items)) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'A batch must be a list of images with prompts.', {
      fix: "Pass segmentBatch([{ image: 'a.jpg', text: 'cat' }, …]).",
    })
  }
  // What can be checked without the images is checked before the first one is read.
  const expanded = (items as readonly AskedItem[]).map((item, index) => {
    try {
      return expandItem(item)
    } catch (error) {
      throw named(index, error)
    }
  })
  const results: Segmentation[][] = []
  let next = 0
  const worker = async () => {
    while (next < expanded.length) {
      const from = next
      next += IMAGES_AT_A_TIME
      checkSignal(options.signal)
      const chunk = await segmentChunk(runtime, expanded.slice(from, from + IMAGES_AT_A_TIME), options, from).catch(
        (error: unknown) => {
          next = expanded.length // one bad item fails the batch: no further work for it
          throw error
        },
      )
      for (const [index, answers] of chunk.entries()) results[from + index] = answers
    }
  }
  const workers = runtime.native.info.device === 'cpu' ? CHUNKS_AT_A_TIME : CHUNKS_AT_A_TIME_ON_GPU
  await Promise.all(Array.from({ length: workers }, worker))
  return results
}

interface ExpandedItem {
  image: AskedImage
  prompts: Prompt[]
}

function expandItem(item: AskedItem): ExpandedItem {
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

function segmentChunk(
  runtime: Runtime,
  items: readonly ExpandedItem[],
  options: CallOptions,
  firstIndex?: number,
): Promise<Segmentation[][]> {
  const images = items.map(({ image }) => image)
  return withImages(runtime, images, async (loading) => {
    const prepared = await Promise.all(
      items.map(async ({ prompts }, index) => {
        try {
          const image = await loading[index]!
          return { image, prompts: prompts.map((prompt) => preparePrompt(prompt, image, runtime.tokenizer)) }
        } catch (error) {
          throw firstIndex === undefined ? error : named(firstIndex + index, error)
        }
      }),
    )
    const asked = prepared.filter(({ prompts }) => prompts.length > 0)
    const request = asked.map(({ image, prompts }) => ({ image, prompts: prompts.map(({ native }) => native) }))
    const answers =
      request.length === 0 ? [] : await runtime.run(options, (...more) => runtime.native.segment(request, ...more))
    return prepared.map(({ image, prompts }) => {
      if (prompts.length === 0) return []
      const answer = answers.shift()!
      return prompts.map((prompt, index) => toSegmentation(answer[index]!, prompt, image.width, image.height))
    })
  })
}

/** Answers one click prompt, or several in one call. */
export async function predictImage(
  runtime: Runtime,
  image: AskedImage,
  input: PointPrompt | readonly PointPrompt[],
  options: CallOptions,
): Promise<Prediction | Prediction[]> {
  checkCall(runtime, options)
  if (!Array.isArray(input)) return (await predictAll(runtime, image, [input as PointPrompt], options))[0]!
  return predictAll(runtime, image, input as readonly PointPrompt[], options, true)
}

function predictAll(
  runtime: Runtime,
  image: AskedImage,
  prompts: readonly PointPrompt[],
  options: CallOptions,
  isBatch = false,
): Promise<Prediction[]> {
  return withImages(runtime, [image], async ([loading]) => {
    const engineImage = await loading!
    const prepared = prompts.map((prompt, index) => {
      try {
        return { index, ...preparePointPrompt(prompt, engineImage, runtime.native.info.maskSide) }
      } catch (error) {
        throw isBatch ? named(index, error) : error
      }
    })
    const results: Prediction[] = []
    // The engine answers all sets of a call with three masks, or all with one.
    for (const multimask of [true, false]) {
      const sets = prepared.filter((prompt) => prompt.multimask === multimask)
      if (sets.length === 0) continue
      const request = sets.map(({ native }) => native)
      const answer = await runtime.run(options, (...more) =>
        runtime.native.predict(engineImage, request, { multimask }, ...more),
      )
      for (const [at, prediction] of toPredictions(answer, engineImage.width, engineImage.height).entries()) {
        results[sets[at]!.index] = prediction
      }
    }
    return results
  })
}

/** Encodes one image for many questions. */
export async function encodeImage(runtime: Runtime, image: ImageInput, options: CallOptions): Promise<NativeImage> {
  checkCall(runtime, options)
  const decoded: RgbImage = await decodeImage(image)
  const [native] = await runtime.run(options, (...more) => runtime.native.encode([decoded], ...more))
  return native!
}
