/** Where the tests run: on the CPU in float32, or on what scripts/gpu-check names. */
import type { Dtype, ImageModelOptions } from '../../lib/index.js'

export const testDevice = (process.env.SAM3_TEST_DEVICE ?? 'cpu') as NonNullable<ImageModelOptions['device']>
export const testDtype = (process.env.SAM3_TEST_DTYPE ?? 'float32') as Dtype

/** Options of a model for the tests. */
export const here = { device: testDevice, dtype: testDtype }

/** The same for programs that a test starts: the stand-in takes CUDA's place in the test's own process only. */
export const hereInPrograms = process.env.SAM3_TEST_STANDIN ? { ...here, device: 'cpu' as const } : here

/** The goldens were computed in float32: what other number types give is held against it by device.test.ts. */
export const comparesToGolden = testDtype === 'float32'

/** A limit of the goldens as it holds here: a GPU adds up in another order than a CPU. */
export const within = (limit: number): number => (testDevice === 'cpu' ? limit : 10 * limit)
