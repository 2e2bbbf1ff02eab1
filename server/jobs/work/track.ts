/** Runs a job of one video. It is one part: the memory of a tracker cannot be kept, so another try begins anew. */
import { stat } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { type FrameResult, openSource, type VideoSession } from 'sam3-node'
import { Checkpoint } from '../files/checkpoint.js'
import type { JobFiles } from '../files/job-files.js'
import { Outputs } from '../files/outputs.js'
import type { JobContext } from '../job/context.js'
import { isAddress, shownPlace, type TrackJob } from '../job/request.js'
import { KeptFrames } from '../../../lib/video/source/kept-frames.js'
import { watchedSteps } from '../../pool/watched-steps.js'
import type { JobTools } from './tools.js'
import { openSinks } from './sinks.js'

/** What came of a job. */
export interface TrackResult {
  frames: number
  /** Different objects that were seen. */
  objects: number
}

/** Waits for the device, which may fail meanwhile. */
type Watch = <T>(work: Promise<T>) => Promise<T>

export async function runTrack(job: TrackJob, { files, model }: JobTools, context: JobContext): Promise<TrackResult> {
  const { signal } = context
  const checkpoint = new Checkpoint(files.workFolder, context.id)
  await checkpoint.open()
  const outputs = new Outputs(files, checkpoint, context.id)
  const before = await outputs.publish<TrackResult>(signal)
  if (before) return before

  const video = await openSource(await bring(job.video, files, checkpoint, signal), { signal })
  try {
    const frames = job.outputs.video === undefined ? undefined : new KeptFrames(video, () => {})
    const session = await model.startSession(frames ?? video, { signal })
    const watch: Watch = (work) => (model.watch ? model.watch(session, work) : work)
    try {
      const result = await follow(job, session, watch, frames, outputs, context)
      await context.confirm()
      await outputs.complete(result)
    } finally {
      await watch(session.close())
    }
  } catch (error) {
    await outputs.discard()
    throw error
  } finally {
    await video.close()
  }
  return (await outputs.publish<TrackResult>(signal))!
}

/** The path of the video, which is fetched first where it is an address. */
async function bring(name: string, files: JobFiles, checkpoint: Checkpoint, signal: AbortSignal): Promise<string> {
  if (!isAddress(name)) return files.roots.input(name, 'ERR_VIDEO_NOT_FOUND')
  const path = join(checkpoint.folder, `video${extname(new URL(name).pathname)}`)
  const found = await stat(path).catch(() => undefined)
  if (!found) await files.remote.download(name, path, signal)
  return path
}

async function follow(
  job: TrackJob,
  session: VideoSession,
  watch: Watch,
  frames: KeptFrames | undefined,
  outputs: Outputs,
  { signal, progress }: JobContext,
): Promise<TrackResult> {
  const { startFrame = 0, maxFrames } = job
  const left = session.frameCount === undefined ? 0 : Math.max(0, session.frameCount - startFrame)
  const total = Math.min(left, maxFrames ?? left)
  const sinks = await openSinks(job, session, basename(shownPlace(job.video)), (place) => outputs.stage(place))
  const seen = new Set<number>()
  const result: TrackResult = { frames: 0, objects: 0 }
  try {
    progress(0, total)
    for (const text of job.texts ?? []) await watch(session.addPrompt({ frameIndex: startFrame, text }, { signal }))
    for (const object of job.objects ?? []) await watch(session.addPoints(object as never, { signal }))
    for await (const frame of watchedSteps(session.propagate({ startFrame, maxFrames, signal }), watch)) {
      await sinks.add(frames?.take(frame.frameIndex), frame)
      note(frame, seen)
      progress(++result.frames, total)
    }
    await sinks.close()
  } catch (error) {
    await sinks.abort()
    throw error
  }
  result.objects = seen.size
  return result
}

function note({ objects }: FrameResult, seen: Set<number>): void {
  for (const { id } of objects) seen.add(id)
}
