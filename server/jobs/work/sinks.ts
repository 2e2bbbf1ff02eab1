/** What a job of a video writes, frame by frame. */
import { writeFile } from 'node:fs/promises'
import { CocoVideo, type FrameResult, overlayFrame, type SourceFrame, type VideoSession, VideoWriter } from 'sam3-node'
import { MotFile } from '../../../lib/video/export/mot-file.js'
import type { TrackJob } from '../job/request.js'

/** One output. */
interface Sink {
  add(frame: SourceFrame | undefined, result: FrameResult): Promise<void>
  /** Completes it. */
  close(): Promise<void>
  abort(): Promise<void>
}

/** All outputs of a job. */
export async function openSinks(
  { outputs, texts }: TrackJob,
  session: VideoSession,
  fileName: string,
  stage: (place: string) => Promise<string>,
): Promise<Sink> {
  const sinks: Sink[] = []
  if (outputs.coco !== undefined) sinks.push(cocoSink(await stage(outputs.coco), session, fileName, texts))
  if (outputs.mot !== undefined) sinks.push(motSink(await stage(outputs.mot)))
  if (outputs.video !== undefined) sinks.push(await videoSink(await stage(outputs.video), session))
  return {
    add: async (frame, result) => {
      for (const sink of sinks) await sink.add(frame, result)
    },
    close: async () => {
      for (const sink of sinks) await sink.close()
    },
    abort: async () => {
      for (const sink of sinks) await sink.abort().catch(() => {}) // the first error is the one to tell
    },
  }
}

function cocoSink(path: string, session: VideoSession, fileName: string, texts: string[] | undefined): Sink {
  const { width, height, frameCount } = session
  const coco = new CocoVideo({
    fileName,
    width,
    height,
    frameCount,
    ...(texts && { categories: [...texts, 'object'] }),
  })
  return {
    add: async (_frame, result) => coco.add(result),
    close: () => writeFile(path, coco.chunks()),
    abort: async () => {},
  }
}

function motSink(path: string): Sink {
  const lines = new MotFile(path)
  return {
    add: (_frame, result) => lines.add(result),
    close: () => lines.close(),
    abort: async () => lines.abort(),
  }
}

async function videoSink(path: string, { width, height, frameRate }: VideoSession): Promise<Sink> {
  const writer = await VideoWriter.open(path, { width, height, frameRate })
  return {
    add: async (frame, { objects }) => {
      if (frame) await writer.write(await overlayFrame(frame, objects))
    },
    close: () => writer.close(),
    abort: () => writer.abort(),
  }
}
