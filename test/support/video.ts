/** Videos for tests: the golden clip, made-up frames, and a source that can misbehave. */
import { readdirSync } from 'node:fs'
import {
  buildSam3VideoModel,
  type FrameSource,
  type ImageModelOptions,
  Sam3AbortError,
  Sam3InputError,
  type Sam3VideoModel,
  type SourceFrame,
} from '../../lib/index.js'
import { decodeImage } from '../../lib/image/decode.js'
import { goldenModels, goldenRoot } from './paths.js'
import { seededRandom } from './random.js'
import { here } from './where.js'

/** The golden weights, on the CPU in float32 unless the tests run elsewhere. */
export function buildTestVideoModel(options: ImageModelOptions = {}): Promise<Sam3VideoModel> {
  return buildSam3VideoModel({ model: goldenModels.safetensors, ...here, ...options })
}

/** RGB pixels of a frame. */
export interface Pixels {
  data: Uint8Array
  width: number
  height: number
}

/** The frames of a clip: all files of a folder, by name. */
export function readClip(folder: string): Promise<Pixels[]> {
  return Promise.all(
    readdirSync(folder)
      .sort()
      .map((name) => decodeImage(`${folder}/${name}`)),
  )
}

/** The clip of the project's own goldens: 24 frames of 160 x 120. */
export const goldenClip = (): Promise<Pixels[]> => readClip(`${goldenRoot}/images/clip_160x120`)

/** Bright rectangles that wander over noise; any number of frames, each the same every time. */
export function wanderingFrame(index: number, width = 160, height = 120): Pixels {
  const random = seededRandom(index + 1)
  const data = Uint8Array.from({ length: width * height * 3 }, () => random() * 60)
  for (const [hue, phase] of [0, 2.1, 4.2].entries()) {
    const x0 = Math.round((width / 2 - 20) * (1 + Math.sin(index / 9 + phase)))
    const y0 = Math.round((height / 2 - 15) * (1 + Math.cos(index / 13 + phase)))
    for (let y = y0; y < y0 + 30; y++) for (let x = x0; x < x0 + 40; x++) data[(y * width + x) * 3 + hue] = 220
  }
  return { data, width, height }
}

/** How a {@link TestSource} behaves. */
export interface TestSourceOptions {
  /** Frames per second. Default 25. */
  frameRate?: number
  /** Does not say how many frames there are, and gives each once. */
  stream?: boolean
  /** What happens instead of a frame. */
  faults?: Record<number, 'corrupt' | 'size' | 'fail' | 'hang'>
}

/** Frames from a function, with faults where asked. */
export class TestSource implements FrameSource {
  readonly width: number
  readonly height: number
  readonly frameCount: number | undefined
  readonly frameRate: number
  readonly randomAccess: boolean
  /** Frames that were asked for, in order. */
  readonly asked: number[] = []
  closed = false
  readonly #length: number
  readonly #frame: (index: number) => Pixels
  readonly #faults: NonNullable<TestSourceOptions['faults']>

  constructor(frames: readonly Pixels[] | ((index: number) => Pixels), options: TestSourceOptions = {}, length = 24) {
    this.#frame = typeof frames === 'function' ? frames : (index) => frames[index]!
    this.#length = typeof frames === 'function' ? length : frames.length
    this.#faults = options.faults ?? {}
    const { width, height } = this.#frame(0)
    this.width = width
    this.height = height
    this.frameCount = options.stream ? undefined : this.#length
    this.frameRate = options.frameRate ?? 25
    this.randomAccess = !options.stream
  }

  async frame(index: number, signal?: AbortSignal): Promise<SourceFrame | undefined> {
    this.asked.push(index)
    const timestamp = index / this.frameRate
    switch (this.#faults[index]) {
      case 'corrupt':
        throw new Sam3InputError('ERR_INVALID_FRAME', `Frame ${index} is damaged.`, { fix: 'Leave it out.' })
      case 'size':
        return { index, timestamp, width: 10, height: 10, data: new Uint8Array(300) }
      case 'fail':
        throw new Error('the disk is gone')
      case 'hang':
        await new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(new Sam3AbortError(signal.reason)), { once: true })
        })
    }
    if (index >= this.#length) return undefined
    return { index, timestamp, ...this.#frame(index) }
  }

  async close(): Promise<void> {
    this.closed = true
  }
}

/** Everything that an iterator gives. */
export async function collect<T>(results: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const result of results) list.push(result)
  return list
}
