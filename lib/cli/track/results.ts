/** Writes what `track` found, frame by frame: a video or a folder of pictures, COCO JSON, MOT text. */
import { createWriteStream, realpathSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import sharp from 'sharp'
import { Sam3InputError } from '../../base/errors.js'
import { overlayFrame } from '../../video/draw/overlay-frame.js'
import { VideoWriter } from '../../video/encode/video-writer.js'
import { CocoVideo } from '../../video/export/coco-video.js'
import type { FrameResult } from '../../video/session/results.js'
import type { SourceFrame } from '../../video/source/types.js'
import { motGroundTruthSink, motSink } from './mot-results.js'
import { checkOutputFile, checkOutputFolder, checkVideoOrFolder, isVideoOutput } from '../common/outputs.js'
import { OWN_PIXELS, rendered } from '../../image/render.js'
import type { TrackSettings, Sink } from './sink.js'

/** Where results go. */
export interface TrackOutputs {
  /** A video file or a folder. */
  out: string | undefined
  json: string | undefined
  mot: string | undefined
  /** A folder. */
  motGt: string | undefined
}

/**
 * Refuses what cannot be written, and to write over what is read.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`
 */
export function checkOutputs(video: string, outputs: TrackOutputs): void {
  const { out, json, mot, motGt } = outputs
  if (out !== undefined) checkVideoOrFolder(out)
  if (json !== undefined) checkOutputFile('--json', json)
  if (mot !== undefined) checkOutputFile('--mot', mot)
  if (motGt !== undefined) checkOutputFolder('--mot-gt', motGt)
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
    fix: 'Choose another --out, --json, --mot or --mot-gt.',
  })
}

/** Opens everything that is to be written, folders that are missing included. */
export async function openResults(outputs: TrackOutputs, settings: TrackSettings): Promise<TrackResults> {
  const { out, json, mot, motGt } = outputs
  for (const path of [out, json, mot]) if (path !== undefined) await mkdir(dirname(path), { recursive: true })
  const sinks: Sink[] = []
  if (out !== undefined)
    sinks.push(isVideoOutput(out) ? await videoSink(out, settings) : await folderSink(out, settings))
  if (json !== undefined) sinks.push(cocoSink(json, settings))
  if (mot !== undefined) sinks.push(motSink(mot))
  if (motGt !== undefined) sinks.push(await motGroundTruthSink(motGt, settings))
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

function cocoSink(path: string, settings: TrackSettings): Sink {
  const { video, width, height, frameCount, fileNames, categories } = settings
  const names = fileNames ? { fileNames: fileNames.map((name) => `${video}/${name}`) } : {}
  const coco = new CocoVideo({ fileName: video, width, height, frameCount, categories, ...names })
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
