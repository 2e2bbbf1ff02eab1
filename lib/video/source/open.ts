/** From whatever a user passes as a video to a source of frames. */
import { stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Sam3InputError } from '../../base/errors.js'
import { type ImageInput, isRawImage, isSharp } from '../../image/source.js'
import { checkKeys, checkSignal } from '../../base/checks.js'
import { checkProgramOptions, type ProgramOptions } from '../ffmpeg/find.js'
import { addressInput, fileInput } from '../ffmpeg/input.js'
import { FfmpegSource } from './ffmpeg.js'
import { type FileKind, fileKind } from './file-kind.js'
import { IterableSource } from './iterable.js'
import { frameFiles, isImageName, ListSource } from './list.js'
import { imagePictures, pagePictures } from './pictures.js'
import { PushSource } from './push.js'
import { DEFAULT_RATE, type FrameSource, type SourceOptions, type VideoInput } from './types.js'
import { kindOf, shortened, shown } from '../../base/shown.js'

/** What ffmpeg may open where an address was passed as one. */
const ADDRESS_SCHEMES = /^(https?|rtsps?|rtmps?|srt|udp|rtp):$/

interface CheckedOptions {
  frameRate: number
  programs: ProgramOptions
  signal: AbortSignal | undefined
}

/**
 * Opens a video, so that its frames can be read: by `startSession`, which takes the source and closes it, or by yourself.
 *
 * A string is always a path, never an address: whoever may choose a file name cannot make ffmpeg open a connection.
 * An address is passed as a `URL`.
 *
 * @throws Sam3InputError `ERR_VIDEO_NOT_FOUND`, `ERR_INVALID_VIDEO`, `ERR_INVALID_ARGUMENT`; Sam3EnvironmentError
 * `ERR_FFMPEG_NOT_FOUND`; Sam3RuntimeError `ERR_FFMPEG_FAILED`; Sam3AbortError
 *
 * @example
 * ```ts
 * const video = await openSource('clip.mp4')
 * const frame = await video.frame(100) // { index, timestamp, data, width, height }
 * await video.close()
 * ```
 */
export async function openSource(video: VideoInput, options: SourceOptions = {}): Promise<FrameSource> {
  const checked = checkOptions(options)
  checkSignal(checked.signal)
  if (typeof video === 'string' || video instanceof URL) return openLocation(video, checked)
  if (typeof video === 'object' && video !== null && isSource(video)) {
    if (video instanceof PushSource) await video.ready(checked.signal)
    return video
  }
  if (Array.isArray(video)) return ListSource.open(imagePictures(video, checked.frameRate), checked.signal)
  checkIterable(video)
  return IterableSource.open(video, checked.frameRate, checked.signal)
}

function checkOptions(options: SourceOptions): CheckedOptions {
  checkKeys(options, ['frameRate', 'ffmpeg', 'ffprobe', 'signal'], 'The options of a video')
  const { frameRate = DEFAULT_RATE, ffmpeg, ffprobe, signal } = options
  if (typeof frameRate !== 'number' || !(frameRate > 0) || !Number.isFinite(frameRate)) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `frameRate must be above 0, not ${shown(frameRate)}.`, {
      fix: 'Pass frames per second, or leave it out.',
    })
  }
  return { frameRate, programs: checkProgramOptions({ ffmpeg, ffprobe }), signal }
}

function isSource(video: object): video is FrameSource {
  const { frame, close } = video as Partial<FrameSource>
  return typeof frame === 'function' && typeof close === 'function'
}

async function openLocation(location: string | URL, options: CheckedOptions): Promise<FrameSource> {
  const { programs, signal } = options
  if (location instanceof URL && location.protocol !== 'file:') {
    if (ADDRESS_SCHEMES.test(location.protocol)) return FfmpegSource.open(programs, addressInput(location), signal)
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `Videos are not read from ${location.protocol} addresses.`, {
      fix: 'Use http(s), rtsp(s), rtmp(s), srt, udp or rtp, or download it first.',
    })
  }
  const path = String(location).startsWith('file:') ? pathOf(location) : String(location)
  const found = await stat(path).catch(cannotOpen(path))
  if (found.isDirectory()) return openFolder(path, options)
  if (!found.isFile() || found.size === 0) {
    const reason = found.isFile() ? 'is empty (0 bytes)' : 'is neither a file nor a folder'
    throw new Sam3InputError('ERR_INVALID_VIDEO', `${shortened(path)} ${reason}.`, {
      fix: 'Pass a video file or a folder of frames.',
    })
  }
  return openFile(path, found.size, options)
}

/** The path of a `file:` URL. */
function pathOf(location: string | URL): string {
  try {
    return fileURLToPath(location)
  } catch (cause) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${shown(location)} is no file: URL of this machine.`, {
      cause,
      fix: 'Pass a path, or what pathToFileURL() makes of one.',
    })
  }
}

/** What a path gets that leads nowhere. */
function cannotOpen(path: string) {
  return (cause: NodeJS.ErrnoException): never => {
    const name = shortened(path)
    const isAddress = /^[a-z][a-z\d+.-]+:\/\//i.test(path)
    throw new Sam3InputError(
      'ERR_VIDEO_NOT_FOUND',
      `The video ${name} cannot be opened (${cause.code ?? cause.name}).`,
      {
        ...(name === path ? { cause } : {}), // which holds the path, whole
        fix: isAddress
          ? 'A string is a path. To let ffmpeg open an address, pass it as new URL(address).'
          : 'Check the path; a relative one starts at the current folder of the process.',
      },
    )
  }
}

/** A folder of one file is that file: it may be an animation. */
async function openFolder(path: string, options: CheckedOptions): Promise<FrameSource> {
  const files = await frameFiles(path)
  const [only] = files
  if (files.length > 1 || only === undefined) {
    return ListSource.open(imagePictures(files, options.frameRate), options.signal)
  }
  return openFile(only, (await stat(only).catch(cannotOpen(only))).size, options)
}

async function openFile(path: string, size: number, options: CheckedOptions): Promise<FrameSource> {
  const { frameRate, programs, signal } = options
  const kind: FileKind = await fileKind(path).catch(cannotOpen(path))
  if (kind === 'pages' || (kind === undefined && isImageName(path))) {
    const pictures = kind === 'pages' ? await pagePictures(path, frameRate) : undefined
    return ListSource.open(pictures ?? imagePictures([path], frameRate), signal)
  }
  return FfmpegSource.open(programs, fileInput(path, size), signal)
}

/** One image is no video, and neither are the bytes of a video file. */
function checkIterable(video: unknown): asserts video is Iterable<ImageInput> | AsyncIterable<ImageInput> {
  const isBytes = video instanceof Uint8Array || video instanceof ArrayBuffer
  if (isBytes || isSharp(video) || (isRawImage(video) && !isIterable(video))) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'A video was expected, but got one image or buffer.', {
      fix: 'Pass images as a list: [image, …]; write the bytes of a video file to a file, and pass its path.',
    })
  }
  if (video instanceof Readable && !video.readableObjectMode) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'A stream of bytes is no video: it has no frames.', {
      fix: 'Pass the path of the video file, or a stream in object mode that gives an image for each frame.',
    })
  }
  if (isIterable(video)) return
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `A video was expected, but got ${kindOf(video)}.`, {
    fix: 'Pass a path, a list or an iterable of images, or a source such as a PushSource.',
  })
}

function isIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value)
}
