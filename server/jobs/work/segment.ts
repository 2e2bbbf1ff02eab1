/** Runs a job of images: each is a part that is finished once, and all parts together become one COCO data set. */
import {
  type BoxPrompt,
  type Prompt,
  type PromptSettings,
  Sam3InputError,
  type Segmentation,
  toCocoJson,
} from 'sam3-node'
import { typedError } from '../../base/problem.js'
import { Checkpoint } from '../files/checkpoint.js'
import { Outputs } from '../files/outputs.js'
import type { JobContext } from '../job/context.js'
import { failureOf, failureText, isPassing } from '../job/failure.js'
import { type SegmentJob, shownPlace } from '../job/request.js'
import { type Part, type SegmentResult, writeDataSet } from './data-set.js'
import type { JobTools } from './tools.js'

export async function runSegment(job: SegmentJob, tools: JobTools, context: JobContext): Promise<SegmentResult> {
  const { files } = tools
  const { signal } = context
  const checkpoint = new Checkpoint(files.workFolder, context.id)
  await checkpoint.open()
  const outputs = new Outputs(files, checkpoint, context.id)
  const before = await outputs.publish<SegmentResult>(signal)
  if (before) return before

  const images = await listOnce(job, tools, checkpoint, signal)
  const done = await checkpoint.parts()
  if (done.size > 0) await context.log(`Goes on: ${done.size} of ${images.length} images are finished.`)
  context.progress(done.size, images.length)
  await segmentAll(job, images, done, checkpoint, tools, context)

  try {
    const file = await outputs.stage(job.outputs.coco)
    const result = await writeDataSet(file, images, categoriesOf(job), checkpoint, signal)
    await context.confirm()
    await outputs.complete(result)
  } catch (error) {
    await outputs.discard()
    throw error
  }
  return (await outputs.publish<SegmentResult>(signal))!
}

/** The list is made once: what appears in a folder while the job runs would give the parts other numbers. */
async function listOnce(job: SegmentJob, { files }: JobTools, checkpoint: Checkpoint, signal: AbortSignal) {
  const known = await checkpoint.read<string[]>('images')
  if (known) return known
  const images = await files.listImages(job.images, signal)
  if (images.length === 0) {
    throw new Sam3InputError('ERR_IMAGE_NOT_FOUND', 'There is no image in the folders of the job.', {
      fix: 'Name images, or folders that have some.',
    })
  }
  await checkpoint.write('images', images)
  return images
}

async function segmentAll(
  job: SegmentJob,
  images: readonly string[],
  done: Set<number>,
  checkpoint: Checkpoint,
  tools: JobTools,
  context: JobContext,
): Promise<void> {
  const left = missing(images.length, new Set(done))
  const work = async (signal: AbortSignal) => {
    for (const index of left) {
      await tools.slots.use(signal, () => finishPart(job, images[index]!, index, checkpoint, tools, context, signal))
      done.add(index)
      context.progress(done.size, images.length)
    }
  }
  await together(tools.slots.count, context.signal, work)
}

/** Numbers below `count` that are not among those, each given once to whoever asks first. */
function* missing(count: number, done: ReadonlySet<number>): Generator<number> {
  for (let index = 0; index < count; index++) if (!done.has(index)) yield index
}

/** Runs `count` copies of `work`; the first failure stops the others, and is thrown when all have ended. */
async function together(count: number, signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>) {
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  let first: { error: unknown } | undefined
  const guarded = async () => {
    try {
      await work(either)
    } catch (error) {
      first ??= { error }
      failed.abort(error)
    }
  }
  await Promise.all(Array.from({ length: count }, guarded))
  if (first) throw first.error
}

async function finishPart(
  job: SegmentJob,
  name: string,
  index: number,
  checkpoint: Checkpoint,
  { files, model }: JobTools,
  context: JobContext,
  signal: AbortSignal,
): Promise<void> {
  let part: Part
  try {
    const results = await model.segment(await files.readImage(name, signal), promptsOf(job), { signal })
    part = partOf(name, index, results, job)
    for (const warning of new Set(results.flatMap(({ warnings }) => warnings)))
      await context.log(`${shownPlace(name)}: ${warning}`)
  } catch (error) {
    if (signal.aborted || isPassing(error)) throw error
    const failure = failureOf(typedError(error), (text) => files.hide(text))
    await context.log(`${shownPlace(name)}: ${failureText(failure)}`)
    part = { failure }
  }
  await checkpoint.write(`part-${index}`, part)
}

function promptsOf({ texts, boxes, normalized, threshold, maxInstances }: SegmentJob): Prompt[] {
  const settings: PromptSettings = { boxes: boxes as BoxPrompt[] | undefined, normalized, threshold, maxInstances }
  return texts ? texts.map((text) => ({ ...settings, text })) : [settings]
}

/** Objects that only exemplars describe have the name that the library gives them. */
function categoriesOf({ texts }: SegmentJob): string[] {
  return texts ? [...new Set(texts)] : ['object']
}

function partOf(name: string, index: number, results: readonly Segmentation[], job: SegmentJob): Part {
  const { width, height } = results[0]!
  const instances = results.flatMap((result) => result.instances)
  const entry = { fileName: shownPlace(name), imageId: index + 1, width, height, instances }
  const { images, annotations } = toCocoJson([entry], { categories: categoriesOf(job) })
  return { image: images[0]!, annotations }
}
