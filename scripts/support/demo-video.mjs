// The video part of the demo: follows words through the example clip, and leaves a video and a contact sheet.

import { execFileSync } from 'node:child_process'
import path from 'node:path'
import sharp from 'sharp'
import { root } from './command.mjs'
import { table } from './table.mjs'

/** Frames of a second of the example clip, which is a folder of pictures. */
const RATE = 12
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
  const gap = 4
  const size = { width: width * COLUMNS + gap * (COLUMNS - 1), height: height * ROWS + gap * (ROWS - 1) }
  await sharp({ create: { ...size, channels: 3, background: '#fff' } })
    .composite(
      picked.map(({ data }, place) => ({
        input: data,
        raw: { width, height, channels: 3 },
        left: (width + gap) * (place % COLUMNS),
        top: (height + gap) * Math.floor(place / COLUMNS),
      })),
    )
    .png({ palette: true, quality: 90 })
    .toFile(file)
}

/** Stretches of frames, such as `0-14, 27-39`. */
function stretches(frames) {
  const found = []
  for (const frame of frames) {
    if (frame === found.at(-1)?.[1] + 1) found.at(-1)[1] = frame
    else found.push([frame, frame])
  }
  return found.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(', ')
}

/**
 * @param library the built library
 * @param model a video model
 * @param {{ video: string, follow: string[], out: string, frames: number }} options `frames`: at most so many
 * @returns {Promise<string[]>} the files that it wrote
 */
export async function trackDemo({ objectLabel, openSource, overlayFrame, VideoWriter }, model, options) {
  const { video, follow, out, frames } = options
  const withFfmpeg = hasFfmpeg()
  if (!withFfmpeg)
    console.log('There is no ffmpeg: the frames are drawn, but no video is written (apt install ffmpeg).')
  const begun = performance.now()
  const session = await model.startSession(video, { frameRate: RATE })
  const source = await openSource(video, { frameRate: RATE })
  const written = [path.join(out, 'tracked.png')]
  const writer = withFfmpeg ? await VideoWriter.open(path.join(out, 'tracked.mp4'), session) : undefined
  if (writer) written.unshift(path.join(out, 'tracked.mp4'))
  const drawn = []
  const seen = new Map()
  try {
    for (const text of follow) {
      const { warnings } = await session.addPrompt({ frameIndex: 0, text })
      for (const warning of warnings) console.log(warning)
    }
    for await (const { frameIndex, objects } of session.propagate({ maxFrames: frames })) {
      const frame = await overlayFrame(await source.frame(frameIndex), objects)
      await writer?.write(frame)
      drawn.push(frame)
      for (const object of objects.filter(({ mask }) => mask.area > 0)) {
        const label = objectLabel(object)
        seen.set(label, [...(seen.get(label) ?? []), frameIndex])
      }
    }
    await writer?.close()
    await contactSheet(drawn, written.at(-1))
  } finally {
    await writer?.abort()
    await source.close()
    await session.close()
  }
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  console.log(`${path.relative(root, video)}, ${drawn.length} frames in ${seconds} s:\n`)
  const rows = [...seen].map(([label, where]) => [label, stretches(where)])
  console.log(table([['followed', 'seen on frames'], ...(rows.length > 0 ? rows : [[follow.join(', '), 'none']])]))
  return written
}
