/** The video model of a test file: made before its tests, and sessions of it that are closed after each. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import type { ImageModelOptions, Sam3VideoModel, SessionOptions, VideoInput, VideoSession } from '../../lib/index.js'
import { clipOf, replayedWeights, tensorsOf } from './golden-set.js'
import { multiplexModel } from './paths.js'
import type { SafetensorsFile } from './safetensors.js'
import { buildTestVideoModel, type Pixels, TestSource, type TestSourceOptions, wanderingFrame } from './video.js'

/** A model of each kind, for tests of what holds for every one. */
export const VIDEO_KINDS: readonly { kind: string; weights: ImageModelOptions }[] = [
  { kind: 'SAM 3', weights: {} },
  { kind: 'SAM 3.1', weights: { model: multiplexModel } },
]

/** With random weights of SAM 3.1: something is found on most frames, and shown at once. */
export const MUCH_IS_FOUND: SessionOptions = {
  scoreThresholdDetection: 0.2,
  newDetThresh: 0.2,
  detNmsThresh: 0.5,
  maxNumObjects: 5,
  hotstartDelay: 0,
  maskletConfirmationEnable: false,
  history: 'full',
}

/** Declares the hooks of a model for the tests around it. Only tests may use what is returned. */
export function useVideoModel(options: ImageModelOptions = {}) {
  const open: VideoSession[] = []
  let letGo = false
  const used = {
    model: undefined as unknown as Sam3VideoModel,
    async start(video: VideoInput, options: SessionOptions = {}): Promise<VideoSession> {
      const session = await used.model.startSession(video, options)
      open.push(session)
      return session
    },
    /** A session over frames of {@link wanderingFrame}. */
    async wander(options: SessionOptions = {}, source: TestSourceOptions = {}, length = 10) {
      const frames = new TestSource((index) => wanderingFrame(index), source, length)
      return { session: await used.start(frames, options), frames }
    },
    /** The test itself sees to the sessions that are open. */
    letGo() {
      open.splice(0)
      letGo = true
    },
  }
  beforeAll(async () => {
    used.model = await buildTestVideoModel(options)
  })
  afterEach(async () => {
    await Promise.all(open.splice(0).map((session) => session.close()))
    if (!letGo) expect(used.model.stats().sessions).toBe(0)
    letGo = false
  })
  afterAll(() => used.model.dispose())
  return used
}

/** The same with the weights of the replayed set, and with the clip and the tensors of a family of its cases. */
export function useReplayedVideo(family: string, recording: { clip: string }) {
  const used = Object.assign(useVideoModel({ model: replayedWeights[0]!.path }), {
    clip: [] as Pixels[],
    tensors: undefined as unknown as SafetensorsFile,
  })
  beforeAll(async () => {
    used.clip = await clipOf(recording)
    used.tensors = tensorsOf(family)
  })
  return used
}
