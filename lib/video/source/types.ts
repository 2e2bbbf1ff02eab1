/** Where the frames of a video come from: what every source offers, and what a user may pass as one. */
import type { ImageInput } from '../../image/source.js'
import type { ProgramOptions } from '../ffmpeg/find.js'

/** Frames per second where nothing says how many there are. */
export const DEFAULT_RATE = 30

/** One frame: RGB bytes and when it is shown. */
export interface SourceFrame {
  /** Position in the video, from 0. Dropped and skipped frames leave gaps. */
  index: number
  /** Seconds since the first frame. */
  timestamp: number
  /** `width * height * 3` bytes, row-major. Left unchanged until the call that uses the frame settles. */
  data: Uint8Array
  /** Pixels in a row. */
  width: number
  /** Rows. */
  height: number
}

/**
 * A video as a session reads it. Of the package are folders, video files, iterables and {@link LiveSource}; anything
 * with these members works as well.
 *
 * `frame()` fails with a `Sam3InputError` of code `ERR_INVALID_FRAME` (damaged) or `ERR_FRAME_SIZE` (not the size of the
 * video) where only that one frame is bad and later ones can still be read: a session with `onBadFrame: 'skip'` goes on
 * behind it. Any other error ends the propagation.
 */
export interface FrameSource {
  /** Pixels in a row, of every frame, as the video is shown (rotation applied). */
  readonly width: number
  /** Rows, of every frame, as the video is shown (rotation applied). */
  readonly height: number
  /** Number of frames, or undefined where it is not known (streams). */
  readonly frameCount: number | undefined
  /** Frames per second, or undefined where frames have no fixed rate. */
  readonly frameRate: number | undefined
  /** Whether any frame can be read again. Where false, earlier frames are gone once read. */
  readonly randomAccess: boolean
  /**
   * The frame at `index`, or undefined past the end. Calls in order are cheap; an earlier frame may cost a restart of
   * the decoder, or is gone (`ERR_HISTORY_REQUIRED`). A source that drops frames (live) gives the next one it has, whose
   * `index` is then higher than asked.
   *
   * @param signal Gives up waiting for the frame: the promise rejects with a `Sam3AbortError`, the source stays usable.
   */
  frame(index: number, signal?: AbortSignal): Promise<SourceFrame | undefined>
  /** Gives back decoders, files and buffers; a `frame()` that waits rejects with `ERR_STREAM_CLOSED`. Safe to call twice. */
  close(): Promise<void>
}

/** A source that frames are pushed into. */
export interface LiveSource extends FrameSource {
  /**
   * Adds a frame.
   * @returns Whether it was kept: false where it had to be dropped. Waits for room where the source blocks.
   * @throws Sam3InputError for an unreadable image or another size, Sam3RuntimeError `ERR_STREAM_CLOSED` after `end()`
   */
  push(image: ImageInput): Promise<boolean>
  /** No frame will follow: a propagation finishes those that wait, then ends. Safe to call twice. */
  end(): void
}

/** How a video is read. */
export interface SourceOptions extends ProgramOptions {
  /**
   * Frames per second of folders, iterables, live frames and the pages of a TIFF, for the timestamps. Default 30; a video
   * file and an animation have their own.
   */
  frameRate?: number
  /** Gives up opening. */
  signal?: AbortSignal
}

/**
 * A video: the path or `file:` URL of a folder of images, of a video file, of an animated image (GIF, WebP, APNG, AVIF)
 * or of a TIFF with several pages; images in order (a list, an iterable, an async iterable); or a {@link FrameSource} such as a live one.
 */
export type VideoInput =
  | string
  | URL
  | readonly ImageInput[]
  | Iterable<ImageInput>
  | AsyncIterable<ImageInput>
  | FrameSource
