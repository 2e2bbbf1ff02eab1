/** Names of result files, from names of images and from texts: readable, never empty, never twice, never too long. */
import { basename, dirname, extname, relative, resolve, sep } from 'node:path'

/** File systems take 255 bytes: these parts, and some for numbers and endings. */
const IMAGE_BYTES = 120
const LABEL_BYTES = 80

const letters = new Intl.Segmenter(undefined, { granularity: 'grapheme' })

/** As much of a text as fits, whole letters as a person counts them. */
function cut(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text
  let kept = ''
  for (const { segment } of letters.segment(text)) {
    if (Buffer.byteLength(kept) + Buffer.byteLength(segment) > bytes) break
    kept += segment
  }
  return kept
}

/** Letters, their marks and digits of a label, of any script; empty where it has none. */
export function labelPart(label: string): string {
  const plain = label
    .normalize('NFC')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, '-')
    .replace(/^-/, '')
  return cut(plain, LABEL_BYTES).replace(/-$/, '')
}

/** A name for the results of each file: its own without the extension, numbered where that is taken. */
export function resultNames(files: readonly string[]): string[] {
  // Some file systems take names for the same that differ in case only.
  const taken = new Set<string>()
  const take = (name: string) => {
    const key = name.normalize('NFC').toLowerCase()
    const isFree = !taken.has(key)
    taken.add(key)
    return isFree
  }
  return files.map((file) => {
    const name = cut(basename(file, extname(file)).replace(/\.+$/, ''), IMAGE_BYTES) || 'image'
    let chosen = name
    for (let count = 2; !take(chosen); count++) chosen = `${name}-${count}`
    return chosen
  })
}

/** The name of the mask of one instance: `photo.mask.03.red-cup.png`. */
export function maskName(name: string, number: string, label: string | undefined): string {
  return [name, 'mask', number, labelPart(label ?? ''), 'png'].filter((part) => part !== '').join('.')
}

/**
 * Names of files in a data set: paths within the working directory, or else within the innermost folder that has all of them.
 * Readers of COCO join them to a folder of theirs, and refuse paths that lead out of it.
 */
export function dataSetNames(files: readonly string[]): string[] {
  const paths = files.map((file) => resolve(file))
  const isWithin = (folder: string) => {
    const start = folder.endsWith(sep) ? folder : `${folder}${sep}`
    return paths.every((path) => path.startsWith(start))
  }
  let folder = isWithin(process.cwd()) ? process.cwd() : dirname(paths[0]!)
  while (!isWithin(folder)) folder = dirname(folder)
  return paths.map((path) => relative(folder, path).split(sep).join('/'))
}
