/** What a file is, by its bytes: for the message about one that cannot be decoded. */
import {
  AVI,
  AVIF,
  CAMERA_RAW,
  CANON_RAW,
  type FileKind,
  HEIC,
  HEIF,
  MP4,
  SIGNATURES,
  SVG,
  TGA,
  TIFF,
  WAV,
  WEBP,
} from './signatures.js'
import { isCameraRaw, readTiffTags } from './tiff-tags.js'

/** Characters that are looked at to tell what a text is. */
const TEXT_LENGTH = 1024
const NOT_AN_IMAGE =
  'Look at what was written or downloaded: an address often answers with a page instead of the image.'

const GIT_LFS: FileKind = {
  name: 'a pointer of Git LFS, not the image that it stands for',
  way: 'Fetch the image: git lfs pull.',
}
const BASE64: FileKind = {
  name: 'an image in base64',
  way: "Decode it first: Buffer.from(text, 'base64').",
}
const text = (name: string): FileKind => ({ name, way: NOT_AN_IMAGE })
const ZEROS: FileKind = {
  name: 'nothing but zero bytes',
  way: 'Copy or download it again: only its place was made.',
}

/** The kind of a file, or undefined where its bytes are like none that is known here. */
export function identify(bytes: Uint8Array): FileKind | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, TEXT_LENGTH)).toString('latin1')
  const kind = SIGNATURES.find(([offset, magic]) => head.startsWith(magic, offset))?.[2]
  if (kind === TIFF) return isCameraRaw(readTiffTags(bytes)) ? CAMERA_RAW : kind
  if (kind) return kind
  if (head.startsWith('ftyp', 4)) return isoMedia(head)
  if (head.startsWith('RIFF')) return { WEBP, 'AVI ': AVI, WAVE: WAV }[head.slice(8, 12)]
  if (Buffer.from(bytes.subarray(-18)).toString('latin1').startsWith('TRUEVISION-XFILE.')) return TGA
  return textKind(bytes, head) ?? (bytes.length > 0 && bytes.every((byte) => byte === 0) ? ZEROS : undefined)
}

/** The kind of a file of boxes as in MP4, by its brands. */
function isoMedia(head: string): FileKind {
  const end = Math.min(head.length, Math.max(16, Buffer.from(head.slice(0, 4), 'latin1').readUInt32BE()))
  const brands = [head.slice(8, 12)]
  for (let at = 16; at + 4 <= end; at += 4) brands.push(head.slice(at, at + 4))
  const has = (...names: string[]) => brands.some((brand) => names.includes(brand))
  if (has('avif', 'avis')) return AVIF
  if (has('heic', 'heix', 'heim', 'heis', 'hevc', 'hevx')) return HEIC
  if (has('mif1', 'msf1', 'heif', 'jpeg', 'avci', 'vvic')) return HEIF
  if (has('crx ')) return CANON_RAW
  return MP4
}

function textKind(bytes: Uint8Array, head: string): FileKind | undefined {
  if (!isText(bytes.subarray(0, TEXT_LENGTH))) return undefined
  const start = head.replace(/^\xef\xbb\xbf/, '').trimStart()
  if (start.startsWith('version https://git-lfs')) return GIT_LFS
  if (/^<(!doctype html|html|head|body)/i.test(start)) return text('an HTML page')
  if (start.startsWith('<')) return /<svg[\s>]/i.test(start) ? SVG : text('an XML file')
  if (/^[{[]/.test(start)) return text('a JSON file')
  if (isBase64Image(start)) return BASE64
  return text('a text file')
}

/** Whether bytes are UTF-8 (cut off anywhere) without control characters. */
function isText(bytes: Uint8Array): boolean {
  if (bytes.length === 0) return false
  const decoded = Buffer.from(bytes)
    .toString('utf8')
    .replace(/\ufffd$/, '')
  return !/[\0-\x08\x0e-\x1a\x1c-\x1f\ufffd]/.test(decoded)
}

/** Whether a string is base64, or a data: address, of a file of a known kind instead of a path. */
export function isBase64Image(value: string): boolean {
  const start = value.slice(0, TEXT_LENGTH).replace(/^data:[^,]*,/i, '')
  if (!/^[A-Za-z0-9+/_\-\s]{16,}={0,2}\s*$/.test(start)) return false
  const bytes = Buffer.from(start, 'base64')
  const head = bytes.toString('latin1')
  // Signatures of two bytes would also fit words.
  return (
    SIGNATURES.some(([offset, magic]) => magic.length > 2 && head.startsWith(magic, offset)) ||
    head.startsWith('ftyp', 4) ||
    (head.startsWith('RIFF') && head.startsWith('WEBP', 8))
  )
}
