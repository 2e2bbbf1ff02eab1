// Renders sprites of the drawing packages: SVG and WebP to square raw RGBA images. Called by sprites.py, which installs the packages.
// Usage: node sprites.mjs <packages folder> <side> <out folder> <hand>:<code point>...

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import sharp from 'sharp'

const ICON_SETS = { noto: 'noto', flat: 'fluent-emoji-flat', twemoji: 'twemoji' }

const [packages, side, out, ...wanted] = process.argv.slice(2)
const size = Number(side)
const sets = new Map()

function iconSet(hand) {
  if (!sets.has(hand)) {
    const folder = path.join(packages, 'node_modules', '@iconify-json', ICON_SETS[hand])
    const read = (name) => JSON.parse(readFileSync(path.join(folder, name), 'utf8'))
    sets.set(hand, { icons: read('icons.json'), chars: read('chars.json') })
  }
  return sets.get(hand)
}

/** The drawing of one code point; file names of the 3D hand carry the variation selector where Unicode's list does. */
function source(hand, code) {
  if (hand === 'fluent3d') {
    const folder = path.join(packages, 'node_modules', '@lobehub', 'fluent-emoji-3d', 'assets')
    for (const name of [`${code}.webp`, `${code}-fe0f.webp`]) {
      try {
        return sharp(readFileSync(path.join(folder, name)))
      } catch (error) {
        if (error.code !== 'ENOENT') throw error
      }
    }
    throw new Error(`the hand fluent3d has no drawing of ${code}`)
  }
  const { icons, chars } = iconSet(hand)
  const icon = icons.icons[chars[code]]
  if (!icon) throw new Error(`the hand ${hand} has no drawing of ${code}`)
  const width = icon.width ?? icons.width ?? 16
  const height = icon.height ?? icons.height ?? 16
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${icon.body}</svg>`
  return sharp(Buffer.from(svg), { density: (72 * size) / Math.max(width, height) })
}

mkdirSync(out, { recursive: true })
for (const item of wanted) {
  const [hand, code] = item.split(':')
  // Cut to the drawing first: every sprite then fills its square, whatever margin its hand leaves.
  const cut = await source(hand, code).ensureAlpha().trim({ background: '#00000000', threshold: 8 }).png().toBuffer()
  const pixels = await sharp(cut).resize(size, size, { fit: 'contain', background: '#00000000' }).raw().toBuffer()
  writeFileSync(path.join(out, `${hand}-${code}.rgba`), pixels)
}
