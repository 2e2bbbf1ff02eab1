/** The model that users hold for videos. */
import { recogniseInAllCopies } from '../base/same-class.js'
import { Sam3InputError } from '../base/errors.js'
import { loadRuntime } from '../model/build.js'
import { Sam3ImageModel } from '../model/image-model.js'
import type { ImageModelOptions } from '../model/options.js'
import type { Runtime } from '../model/runtime.js'
import { checkSignal } from '../base/checks.js'
import { readHeuristics } from './session/config-heuristics.js'
import { checkSessionOptions, type HeuristicOptions, type SessionOptions } from './session/options.js'
import { VideoSession } from './session/session.js'
import { isLive, SessionState } from './session/session-state.js'
import { openSource } from './source/open.js'
import type { FrameSource, VideoInput } from './source/types.js'

/** Options of {@link buildSam3VideoModel}: those of an image model. */
export type VideoModelOptions = ImageModelOptions

/**
 * Loads SAM 3 for videos, and for images as well: the weights are the same and are held once.
 *
 * @throws As `buildSam3ImageModel`, and Sam3ModelError `ERR_NO_TRACKER` for weights of the image model alone.
 *
 * @example
 * ```ts
 * await using model = await buildSam3VideoModel({ model: './sam3' })
 * await using session = await model.startSession('clip.mp4')
 * ```
 */
export async function buildSam3VideoModel(options: VideoModelOptions = {}): Promise<Sam3VideoModel> {
  const runtime = await loadRuntime(options, true)
  try {
    return new Sam3VideoModel(runtime, heuristicsOf(runtime))
  } catch (error) {
    await runtime.dispose()
    throw error
  }
}

/** The defaults of its config.json; that of facebook/sam3.1 is out of date, and what its reference sets is the engine's own. */
function heuristicsOf({ configFile, native }: Runtime): HeuristicOptions {
  return configFile && native.info.slots === 0 ? readHeuristics(configFile) : {}
}

/**
 * SAM 3 for videos. Any number of sessions may be open at once; their steps and calls for images take turns on one
 * engine thread. Built by {@link buildSam3VideoModel}.
 */
export class Sam3VideoModel extends Sam3ImageModel {
  readonly #runtime: Runtime
  readonly #heuristics: HeuristicOptions
  readonly #sessions = new Set<SessionState>()

  /** @internal */
  constructor(runtime: Runtime, heuristics: HeuristicOptions) {
    super(runtime)
    this.#runtime = runtime
    this.#heuristics = heuristics
  }

  /**
   * Opens a video.
   *
   * @param video The path or `file:` URL of a folder of frames, of a video file (read by ffmpeg), of an animated image or
   * of a TIFF with several pages; images in order (a list, an iterable, an async iterable); or a source such as a
   * `PushSource` for live frames. A source is closed with the session.
   * @returns A session. Close it, or use `await using`.
   * @throws Sam3InputError (`ERR_INVALID_ARGUMENT`, `ERR_VIDEO_NOT_FOUND`, `ERR_INVALID_VIDEO`),
   * Sam3EnvironmentError `ERR_FFMPEG_NOT_FOUND`, Sam3RuntimeError (`ERR_FFMPEG_FAILED`, `ERR_DISPOSED`), Sam3AbortError
   */
  async startSession(video: VideoInput, options: SessionOptions = {}): Promise<VideoSession> {
    const settings = checkSessionOptions(options, this.info.slots > 0, this.#heuristics)
    this.#runtime.checkAlive()
    checkSignal(options.signal)
    const source = await openSource(video, settings.source)
    try {
      checkSource(source)
      const request = settings.native(source, isLive(source))
      const native = await this.#runtime.run({ signal: options.signal }, (token) =>
        this.#runtime.native.openSession(request, token),
      )
      const state = new SessionState(this.#runtime, native, source, settings, (closed) => this.#sessions.delete(closed))
      this.#sessions.add(state)
      return new VideoSession(state)
    } catch (error) {
      await source.close().catch(() => {}) // the first error is the one to tell
      throw error
    }
  }

  /** Frees everything the model holds. Calls that wait or run end with `ERR_DISPOSED`; sessions are closed. Safe to call twice. */
  override async dispose(): Promise<void> {
    await super.dispose()
    await Promise.all([...this.#sessions].map((session) => session.close()))
  }
}
recogniseInAllCopies(Sam3VideoModel, 'Sam3VideoModel')

/** A source of the caller's own may say anything. */
function checkSource({ width, height, frameCount }: FrameSource): void {
  const isSide = (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0
  if (isSide(width) && isSide(height) && (frameCount === undefined || isSide(frameCount))) return
  throw new Sam3InputError(
    'ERR_INVALID_ARGUMENT',
    `A video of ${width} x ${height} pixels and ${frameCount} frames cannot be followed.`,
    { fix: 'A source has width, height and frameCount (or undefined), whole numbers from 1.' },
  )
}
