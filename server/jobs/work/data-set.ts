/** The finished parts of a job of images, as one COCO data set. */
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { type CocoAnnotation, type CocoImage, Sam3InputError, toCocoJson } from 'sam3-node'
import type { Checkpoint } from '../files/checkpoint.js'
import { shownPlace } from '../job/request.js'
import type { JobFailure } from '../job/store.js'

/** A finished image: its entries of the data set, or why there are none. */
export type Part = { image: CocoImage; annotations: CocoAnnotation[] } | { failure: JobFailure }

/** What came of a job. */
export interface SegmentResult {
  images: number
  instances: number
  /** Images that could not be segmented; they are not in the data set. */
  failed: number
  /** The first of them. */
  failures: (JobFailure & { image: string })[]
}

/** A job's result lies in the memory of Redis. */
const MOST_FAILURES = 100

/**
 * Writes the data set part by part: a million images take no more memory than one.
 * @throws Sam3InputError `ERR_INVALID_IMAGE` where no image could be segmented
 */
export async function writeDataSet(
  file: string,
  images: readonly string[],
  names: readonly string[],
  checkpoint: Checkpoint,
  signal: AbortSignal,
): Promise<SegmentResult> {
  const result: SegmentResult = { images: images.length, instances: 0, failed: 0, failures: [] }
  for await (const [index, part] of partsOf(images.length, checkpoint)) {
    if ('image' in part) {
      result.instances += part.annotations.length
      continue
    }
    result.failed++
    if (result.failures.length < MOST_FAILURES)
      result.failures.push({ image: shownPlace(images[index]!), ...part.failure })
  }
  const [first] = result.failures
  if (first && result.failed === images.length) {
    throw new Sam3InputError('ERR_INVALID_IMAGE', `None of the ${images.length} images could be segmented.`, {
      fix: `The first: ${first.image}: ${first.detail}`,
    })
  }
  await pipeline(text(images.length, names, checkpoint), createWriteStream(file), { signal })
  return result
}

async function* partsOf(count: number, checkpoint: Checkpoint): AsyncGenerator<[number, Part]> {
  for (let index = 0; index < count; index++) {
    const part = await checkpoint.read<Part>(`part-${index}`)
    if (!part) throw new Error(`The finished part ${index} is gone.`)
    yield [index, part]
  }
}

async function* text(count: number, names: readonly string[], checkpoint: Checkpoint): AsyncGenerator<string> {
  const { info, categories } = toCocoJson([], { categories: names })
  yield `{"info":${JSON.stringify(info)},"categories":${JSON.stringify(categories)},"images":[`
  let comma = ''
  for await (const [, part] of partsOf(count, checkpoint)) {
    if (!('image' in part)) continue
    yield comma + JSON.stringify(part.image)
    comma = ','
  }
  yield '],"annotations":['
  let id = 0
  for await (const [, part] of partsOf(count, checkpoint)) {
    if (!('image' in part)) continue
    for (const annotation of part.annotations) yield (id > 0 ? ',' : '') + JSON.stringify({ ...annotation, id: ++id })
  }
  yield ']}\n'
}
