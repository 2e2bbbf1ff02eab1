/** Writes what `track` found, frame by frame: a video or a folder of pictures, COCO JSON, MOT text. */
import { createWriteStream, realpathSync, type WriteStream } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import sharp from 'sharp'
import { Sam3InputError } from '../errors.js'
import { overlayFrame, type OverlayFrameOptions } from '../video/draw/overlay-frame.js'
import { isWritableVideo, VideoWriter } from '../video/encode/video-writer.js'
import { CocoVideo } from '../video/export/coco-video.js'
import { MotText } from '../video/export/mot.js'
import type { FrameResult } from '../video/results.js'
import type { SourceFrame } from '../video/source/types.js'
import { OWN_PIXELS, rendered } from '../image/render.js'

/** Where results go. */
export interface TrackOutputs {
  /** A video file or a folder. */
  out: string | undefined
  json: string | undefined
  mot: string | undefined
}

/** The video that is tracked, and how it is drawn. */
export interface TrackSettings {
  video: string
  width: number
  height: number
  frameCount: number | undefined
  frameRate: number | undefined
  /** Names of the frames of a folder. */
  fileNames: readonly string[] | undefined
  quality: number | undefined
  ffmpeg: string | undefined
  draw: OverlayFrameOptions
}

/** One kind of result. */
interface Sink {
  path: string
  add(frame: SourceFrame | undefined, result: FrameResult): Promise<void>
  /** Completes it. */
  close(): Promise<void>
  /** Deletes what is not complete. */
  abort(): Promise<void>
}

/**
 * Refuses to write over what is read.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`
 */
export function checkOutputs(video: string, outputs: TrackOutputs): void {
  const paths = Object.values(outputs).filter((path) => path !== undefined)
  const real = (path: string) => {
    try {
      return realpathSync(path)
    } catch {
      return resolve(path)
    }
  }
  const all = [video, ...paths].map(real)
  const twice = all.find((path, index) => all.indexOf(path) !== index)
  if (twice === undefined) return
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${twice} would be written over while it is in use.`, {
    fix: 'Choose another --out, --json or --mot.',
  })
}

/** Opens everything that is to be written, folders that are missing included. */
export async function openResults(outputs: TrackOutputs, settings: TrackSettings): Promise<TrackResults> {
  const { out, json, mot } = outputs
  for (const path of [out, json, mot]) if (path !== undefined) await mkdir(dirname(path), { recursive: true })
  const sinks: Sink[] = []
  if (out !== undefined)
    sinks.push(isWritableVideo(out) ? await videoSink(out, settings) : await folderSink(out, settings))
  if (json !== undefined) sinks.push(cocoSink(json, settings))
  if (mot !== undefined) sinks.push(motSink(mot))
  return new TrackResults(sinks)
}

/** All results of a run. */
export class TrackResults {
  #sinks: readonly Sink[]

  constructor(sinks: readonly Sink[]) {
    this.#sinks = sinks
  }

  /** What is written, or was; not what failed. */
  get paths(): string[] {
    return this.#sinks.map(({ path }) => path)
  }

  async add(frame: SourceFrame | undefined, result: FrameResult): Promise<void> {
    await this.#each((sink) => sink.add(frame, result))
  }

  async close(): Promise<void> {
    await this.#each((sink) => sink.close())
  }

  async abort(): Promise<void> {
    await this.#each((sink) => sink.abort())
  }

  /** What fails is given up; the others are not affected. The first failure is told. */
  async #each(work: (sink: Sink) => Promise<void>): Promise<void> {
    let failure: unknown
    for (const sink of this.#sinks) {
      try {
        await work(sink)
      } catch (error) {
        failure ??= error
        this.#sinks = this.#sinks.filter((other) => other !== sink)
        await sink.abort().catch(() => {}) // the first error is the one to tell
      }
    }
    if (failure) throw failure
  }
}

async function videoSink(path: string, settings: TrackSettings): Promise<Sink> {
  const { width, height, frameRate, quality, ffmpeg, draw } = settings
  const writer = await VideoWriter.open(path, { width, height, frameRate, quality, ffmpeg })
  return {
    path,
    add: async (frame, { objects }) => {
      if (frame) await writer.write(await overlayFrame(frame, objects, draw))
    },
    close: () => writer.close(),
    abort: () => writer.abort(),
  }
}

async function folderSink(folder: string, { draw }: TrackSettings): Promise<Sink> {
  await mkdir(folder, { recursive: true })
  return {
    path: folder,
    add: async (frame, { frameIndex, objects }) => {
      if (!frame) return
      const { data, width, height } = await overlayFrame(frame, objects, draw)
      const file = join(folder, `${String(frameIndex).padStart(5, '0')}.jpg`)
      const picture = sharp(data, { ...OWN_PIXELS, raw: { width, height, channels: 3 } })
      await writeFile(
        file,
        await rendered(picture.jpeg({ quality: 92 }).toBuffer(), `The picture of frame ${frameIndex}`),
      )
    },
    close: async () => {},
    abort: async () => {},
  }
}

function cocoSink(path: string, { video, width, height, frameCount, fileNames }: TrackSettings): Sink {
  const coco = new CocoVideo({ fileName: video, width, height, frameCount, ...(fileNames ? { fileNames } : {}) })
  return {
    path,
    add: async (_frame, result) => coco.add(result),
    close: async () => {
      await pipeline(Readable.from(coco.chunks()), createWriteStream(`${path}.part`))
      await rename(`${path}.part`, path)
    },
    abort: () => rm(`${path}.part`, { force: true }),
  }
}

function motSink(path: string): Sink {
  const mot = new MotText()
  const stream: WriteStream = createWriteStream(`${path}.part`)
  const done = finished(stream)
  done.catch(() => {}) // told by the call that comes next
  return {
    path,
    add: async (_frame, result) => {
      if (stream.write(mot.lines(result))) return
      await Promise.race([done, new Promise<void>((go) => stream.once('drain', () => go()))])
    },
    close: async () => {
      stream.end()
      await done
      await rename(`${path}.part`, path)
    },
    abort: async () => {
      stream.destroy()
      await rm(`${path}.part`, { force: true })
    },
  }
}
