// The clip of the video measures: a photograph with a camera that moves over it.

import { mkdirSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { root } from '../../scripts/support/command.mjs'

const WIDTH = 1200
const HEIGHT = 800
/** Pixels by which the camera moves from frame to frame. */
const STEP = 8

/** A folder of JPEG frames, made where it is not there yet. */
export async function makeClip(frames) {
  const folder = path.join(root, `bench/.cache/clip-${frames}`)
  mkdirSync(folder, { recursive: true })
  if (readdirSync(folder).length < frames) {
    const { default: sharp } = await import('sharp')
    const wide = await sharp(path.join(root, 'examples/coffee.jpg'))
      .resize(WIDTH + STEP * frames, HEIGHT + STEP * frames, { fit: 'fill' })
      .toBuffer()
    for (let frame = 0; frame < frames; frame += 1) {
      await sharp(wide)
        .extract({ left: STEP * frame, top: (STEP * frame) >> 1, width: WIDTH, height: HEIGHT })
        .jpeg({ quality: 90 })
        .toFile(path.join(folder, `${String(frame).padStart(5, '0')}.jpg`))
    }
  }
  return folder
}

/** Pixels to click on, one for each object, spread over the frame. */
export function clickPoints(objects) {
  const columns = Math.ceil(Math.sqrt(objects))
  const rows = Math.ceil(objects / columns)
  return Array.from({ length: objects }, (_, index) => [
    Math.round(((index % columns) + 0.5) * (WIDTH / columns)),
    Math.round((Math.floor(index / columns) + 0.5) * (HEIGHT / rows)),
  ])
}

/** Frames of noise that never repeat, as pixels: for long sessions of the tiny model. */
export async function* noiseFrames(frames, side) {
  for (let frame = 0; frame < frames; frame += 1) {
    const data = new Uint8Array(side * side * 3)
    for (let i = 0; i < data.length; i += 1) data[i] = (i * 31 + frame * 17 + ((i * frame) >> 5)) & 255
    yield { data, width: side, height: side, channels: 3 }
  }
}
