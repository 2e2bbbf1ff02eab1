/** What jobs work with. */
import type { CallOptions, Prompt, Segmentation, SessionOptions, VideoInput, VideoSession } from 'sam3-node'
import type { JobFiles } from '../files/job-files.js'
import type { Slots } from './slots.js'

/** What a job needs of a model: a `Sam3VideoModel` has it, and so has a pool of them. */
export interface JobModel {
  segment(image: Uint8Array, prompts: readonly Prompt[], options?: CallOptions): Promise<Segmentation[]>
  startSession(video: VideoInput, options?: SessionOptions): Promise<VideoSession>
  /** Waits for work of a session that it started; rejects where its device fails first. Default: waits. */
  watch?<T>(session: VideoSession, work: Promise<T>): Promise<T>
}

export interface JobTools {
  readonly model: JobModel
  readonly files: JobFiles
  /** How many images may be with the model at once. */
  readonly slots: Slots
}
