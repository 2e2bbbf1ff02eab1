/** A loaded model for tests, and a picture for it. */
import { buildSam3ImageModel, type ImageModelOptions, type RawImage, type Sam3ImageModel } from '../../lib/index.js'
import { goldenModels } from './paths.js'
import { seededRandom } from './random.js'
import { here } from './where.js'

/** The golden weights, on the CPU in float32 unless the tests run elsewhere. */
export function buildTestModel(options: ImageModelOptions = {}): Promise<Sam3ImageModel> {
  return buildSam3ImageModel({ model: goldenModels.safetensors, ...here, ...options })
}

/** Seeded noise. */
export function noiseImage(width: number, height: number, seed = 1): RawImage {
  const random = seededRandom(seed)
  return { width, height, channels: 3, data: Uint8Array.from({ length: width * height * 3 }, () => random() * 256) }
}

/** What a rejected promise was rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await promise
  } catch (error) {
    return error as Error & { code?: string }
  }
  throw new Error('expected a rejection')
}
