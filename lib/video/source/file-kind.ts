/** What kind of pictures a file holds, by its first bytes: its name may say anything. */
import { type FileHandle, open } from 'node:fs/promises'
import { PNG_MARK, TIFF_MARKS } from '../../image/signatures.js'

/**
 * `'pages'`: sharp reads it, and it may hold several pictures. `'animation'`: several pictures, and ffmpeg reads it.
 * Undefined: neither can be told.
 */
export type FileKind = 'pages' | 'animation' | undefined

/** Far more than come before the pixels of any PNG. */
const MOST_CHUNKS = 1000

async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
  return buffer.subarray(0, bytesRead)
}

/** An animated PNG says so before its pixels. */
async function isAnimatedPng(file: FileHandle): Promise<boolean> {
  for (let position = PNG_MARK.length, chunk = 0; chunk < MOST_CHUNKS; chunk++) {
    const header = await read(file, position, 8)
    const type = header.toString('latin1', 4, 8)
    if (type === 'acTL') return true
    if (header.length < 8 || type === 'IDAT' || type === 'IEND') return false
    position += 12 + header.readUInt32BE(0)
  }
  return false
}

/** The brands of an AVIF or HEIC file; `avis`, `msf1` are those of sequences. */
function isSequence(start: Buffer): boolean {
  if (start.toString('latin1', 4, 8) !== 'ftyp') return false
  const brands = start.toString('latin1', 8, Math.min(start.length, start.readUInt32BE(0)))
  return /^(.{4})*?(avis|msf1)/s.test(brands)
}

/** @throws NodeJS.ErrnoException where the file cannot be read */
export async function fileKind(path: string): Promise<FileKind> {
  const file = await open(path, 'r')
  try {
    const start = await read(file, 0, 128)
    const text = start.toString('latin1')
    if (text.startsWith('RIFF') && text.startsWith('WEBP', 8)) return 'pages'
    if (TIFF_MARKS.some((mark) => text.startsWith(mark))) return 'pages'
    if (text.startsWith(PNG_MARK)) return (await isAnimatedPng(file)) ? 'animation' : 'pages'
    return isSequence(start) ? 'animation' : undefined
  } finally {
    await file.close()
  }
}
