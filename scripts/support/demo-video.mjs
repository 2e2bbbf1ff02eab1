// The video part of the demo: follows a text through the example clip, and leaves a video and a contact sheet.

import { execFileSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import sharp from 'sharp'
import { makeFrames, RATE } from '../../examples/make-clip.mjs'
import { root } from './command.mjs'

/** Pictures on the contact sheet. */
const COLUMNS = 3
const ROWS = 2

function hasFfmpeg() {
  try {
    for (const program of ['ffmpeg', 'ffprobe']) execFileSync(program, ['-version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Frames in rows, from first to last. */
async function contactSheet(frames, file) {
  const picked = Array.from(
    { length: COLUMNS * ROWS },
    (_, place) => frames[Math.round((place * (frames.length - 1)) / (COLUMNS * ROWS - 1))],
  )
  const [{ width, height }] = picked
  await sharp({ create: { width: width * COLUMNS, height: height * ROWS, channels: 3, background: '#000' } })
    .composite(
      picked.map(({ data }, place) => ({
        input: data,
        raw: { width, height, channels: 3 },
        left: width * (place % COLUMNS),
        top: height * Math.floor(place / COLUMNS),
      })),
    )
    .png({ palette: true, quality: 90 })
    .toFile(file)
}

/**
 * @param library the built library
 * @param model a video model
 * @param {{ video?: string, text: string, out: string, frames: number }} options `frames`: at most so many
 * @returns {Promise<string[]>} the files that it wrote
 */
export async function trackDemo({ openSource, overlayFrame, VideoWriter }, model, { video, text, out, frames }) {
  const withFfmpeg = hasFfmpeg()
  const scratch = path.join(os.tmpdir(), `sam3-demo-${process.pid}`)
  if (!video && !withFfmpeg) {
    console.log(
      'There is no ffmpeg: the clip is made as a folder of frames, and no video is written (apt install ffmpeg).',
    )
    await makeFrames(scratch)
  }
  const input = video ?? (withFfmpeg ? path.join(root, 'examples/coffee.mp4') : scratch)
  const begun = performance.now()
  const session = await model.startSession(input, { frameRate: RATE, maxNumObjects: 4 })
  const source = await openSource(input, { frameRate: RATE })
  const written = [path.join(out, 'tracked.png')]
  const writer = withFfmpeg ? await VideoWriter.open(path.join(out, 'tracked.mp4'), session) : undefined
  if (writer) written.unshift(path.join(out, 'tracked.mp4'))
  const drawn = []
  const ids = new Set()
  try {
    await session.addPrompt({ frameIndex: 0, text })
    for await (const { frameIndex, objects } of session.propagate({ maxFrames: frames })) {
      const frame = await overlayFrame(await source.frame(frameIndex), objects)
      await writer?.write(frame)
      drawn.push(frame)
      for (const { id } of objects) ids.add(id)
    }
    await writer?.close()
    await contactSheet(drawn, written.at(-1))
  } finally {
    await writer?.abort()
    await source.close()
    await session.close()
    await rm(scratch, { recursive: true, force: true })
  }
  const seconds = (performance.now() - begun) / 1000
  console.log(
    `"${text}" in ${input === scratch ? 'the example clip' : path.relative(root, input)}: ${ids.size} followed through ${drawn.length} frames in ${seconds.toFixed(1)} s`,
  )
  return written
}
