/** What every kind of result of `track` is, and what it is told of the video. */
import type { OverlayFrameOptions } from '../../video/draw/overlay-frame.js'
import type { FrameResult } from '../../video/session/results.js'
import type { SourceFrame } from '../../video/source/types.js'

/** The video that is tracked, and how it is drawn. */
export interface TrackSettings {
  video: string
  width: number
  height: number
  frameCount: number | undefined
  frameRate: number | undefined
  /** Names of the frames of a folder. */
  fileNames: readonly string[] | undefined
  /** What objects can be called, found or not. */
  categories: readonly string[]
  quality: number | undefined
  ffmpeg: string | undefined
  draw: OverlayFrameOptions
}

/** One kind of result. */
export interface Sink {
  path: string
  add(frame: SourceFrame | undefined, result: FrameResult): Promise<void>
  /** Completes it. */
  close(): Promise<void>
  /** Deletes what is not complete. */
  abort(): Promise<void>
}
