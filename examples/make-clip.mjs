// Makes the example clip from the example photograph: the camera moves slowly, and two balls roll over the table.
// `node examples/make-clip.mjs` writes examples/coffee.mp4 (needs ffmpeg).

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'

const here = path.dirname(fileURLToPath(import.meta.url))
const WIDTH = 480
const HEIGHT = 320
export const RATE = 24
const FRAMES = 60

/** A ball with light from above, its shadow below it, and a stripe that shows that it rolls. */
function ball({ x, y, radius, turn, light, dark }) {
  const id = dark.slice(1)
  return `
    <radialGradient id="b${id}" cx=".35" cy=".3" r=".8">
      <stop offset="0" stop-color="#fff"/><stop offset=".18" stop-color="${light}"/><stop offset="1" stop-color="${dark}"/>
    </radialGradient>
    <radialGradient id="s${id}"><stop offset=".3" stop-opacity=".55"/><stop offset="1" stop-opacity="0"/></radialGradient>
    <ellipse cx="${x + radius * 0.15}" cy="${y + radius * 0.92}" rx="${radius * 1.15}" ry="${radius * 0.34}" fill="url(#s${id})"/>
    <circle cx="${x}" cy="${y}" r="${radius}" fill="url(#b${id})"/>
    <ellipse cx="${x}" cy="${y}" rx="${radius}" ry="${Math.abs(Math.sin(turn)) * radius}" fill="none" stroke="#fff"
      stroke-opacity=".55" stroke-width="${radius * 0.12}" transform="rotate(24 ${x} ${y})"/>`
}

/** Writes the frames as JPEG files 00000.jpg, 00001.jpg, … of 480 x 320; needs no ffmpeg. */
export async function makeFrames(folder) {
  await mkdir(folder, { recursive: true })
  const photo = path.join(here, 'coffee.jpg')
  const { width, height } = await sharp(photo).metadata()
  for (let index = 0; index < FRAMES; index++) {
    const time = index / (FRAMES - 1)
    // The camera: from the whole picture towards the cup.
    const zoom = 1 + 0.16 * time * time * (3 - 2 * time)
    const [w, h] = [Math.round(width / zoom), Math.round(height / zoom)]
    const left = Math.round((width - w) * 0.45)
    const top = Math.round((height - h) * 0.6)
    const green = { x: -40 + 490 * time, y: 252 - 34 * Math.sin(time * 3), radius: 26, turn: 14 * time }
    const blue = { x: 440 - 410 * time, y: 84 + 26 * Math.sin(time * 4), radius: 19, turn: 17 * time }
    const balls = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}">
      ${ball({ ...blue, light: '#7db4ff', dark: '#143a94' })}${ball({ ...green, light: '#9be15d', dark: '#1c6b1f' })}</svg>`
    await sharp(photo)
      .extract({ left, top, width: w, height: h })
      .resize(WIDTH, HEIGHT, { fit: 'fill' })
      .composite([{ input: Buffer.from(balls) }])
      .jpeg({ quality: 92 })
      .toFile(path.join(folder, `${String(index).padStart(5, '0')}.jpg`))
  }
}

async function main() {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sam3-clip-'))
  await makeFrames(folder)
  const encode = [
    '-c:v',
    'libx264',
    '-preset',
    'veryslow',
    '-crf',
    '24',
    '-pix_fmt',
    'yuv420p',
    '-movflags',
    '+faststart',
  ]
  const bare = ['-map_metadata', '-1', '-fflags', '+bitexact', '-flags:v', '+bitexact']
  const input = ['-framerate', String(RATE), '-i', path.join(folder, '%05d.jpg')]
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...input, ...encode, ...bare, path.join(here, 'coffee.mp4')])
  await rm(folder, { recursive: true })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
