/** What the first directory of a TIFF says about its pixels: more than libvips does, and also where libvips refuses it. */

/** Tags by their numbers, each with its whole numbers; other types of values are left out. */
export type TiffTags = ReadonlyMap<number, readonly number[]>

const NEW_SUBFILE_TYPE = 254
const BITS_PER_SAMPLE = 258
const COMPRESSION = 259
const PHOTOMETRIC = 262
const MAKE = 271
const SAMPLES_PER_PIXEL = 277
const SUB_IFDS = 330
const EXTRA_SAMPLES = 338
const SAMPLE_FORMAT = 339
const DNG_VERSION = 50706

/** Values of a tag that are read: none that is looked at has more. */
const MOST_VALUES = 64
const MOST_TAGS = 512
/** Bytes of a value, by its type, for the types of whole numbers and text. */
const SIZES: Readonly<Record<number, number>> = { 1: 1, 2: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8 }

/** Reads the first directory; an empty map where there is none, or it lies outside of the file. */
export function readTiffTags(bytes: Uint8Array): TiffTags {
  const tags = new Map<number, readonly number[]>()
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const little = view.getUint8(0) === 0x49
    const big = view.getUint16(2, little) === 43
    const read = (at: number, size: number): number => {
      if (size === 1) return view.getUint8(at)
      if (size === 2) return view.getUint16(at, little)
      return size === 4 ? view.getUint32(at, little) : Number(view.getBigUint64(at, little))
    }
    const [word, entry, start] = big ? [8, 20, 8] : [4, 12, 4]
    const directory = read(start, word)
    const count = Math.min(MOST_TAGS, read(directory, big ? 8 : 2))
    for (let index = 0; index < count; index++) {
      const at = directory + (big ? 8 : 2) + index * entry
      const size = SIZES[read(at + 2, 2)]
      if (size === undefined) continue
      const length = read(at + 4, word)
      const values = at + 4 + word
      const from = length * size <= word ? values : read(values, word)
      const kept = Math.min(length, MOST_VALUES)
      tags.set(
        read(at, 2),
        Array.from({ length: kept }, (_, i) => read(from + i * size, size)),
      )
    }
  } catch {
    // A directory that leads out of the file: what was read so far is what is known.
  }
  return tags
}

/**
 * Whether a TIFF is what a camera saw: a DNG, or the file of a maker whose first picture is a small preview of the
 * real one, which is kept elsewhere in the file.
 */
export function isCameraRaw(tags: TiffTags): boolean {
  if (tags.has(DNG_VERSION)) return true
  return tags.get(NEW_SUBFILE_TYPE)?.[0] === 1 && tags.has(MAKE) && tags.has(SUB_IFDS)
}

/** How numbers and bands of a TIFF are laid out. */
export interface TiffLayout {
  bands: number
  /** Such as `'32-bit floating-point numbers'`. */
  numbers: string
  /** 8- or 16-bit numbers from 0 up, or less than 8 bits. */
  isPlain: boolean
  /** The file says that the bands are colours, not any measurements. */
  isColour: boolean
  /** Grey, or grey and alpha. */
  isGrey: boolean
  /** How it is compressed, where few programs can read that. */
  compression: string | undefined
}

const KINDS: Readonly<Record<number, string>> = {
  1: 'unsigned whole',
  2: 'signed whole',
  3: 'floating-point',
  5: 'complex',
  6: 'complex',
}
const RARE_COMPRESSIONS: Readonly<Record<number, string>> = {
  6: 'old-style JPEG',
  34661: 'JBIG',
  34712: 'JPEG 2000',
  34887: 'LERC',
  34925: 'LZMA',
  50000: 'Zstandard',
  50001: 'WebP',
  50002: 'JPEG XL',
}
const [WHITE_IS_ZERO, BLACK_IS_ZERO] = [0, 1]

/** What the tags say about the pixels, or undefined where they do not say it. */
export function tiffLayout(tags: TiffTags): TiffLayout | undefined {
  const photometric = tags.get(PHOTOMETRIC)?.[0]
  const bits = tags.get(BITS_PER_SAMPLE)?.[0] ?? 1
  if (photometric === undefined) return undefined
  const format = tags.get(SAMPLE_FORMAT)?.[0] ?? 1
  const bands = tags.get(SAMPLES_PER_PIXEL)?.[0] ?? 1
  const kind = KINDS[format] ?? KINDS[1]
  const isColour = photometric !== WHITE_IS_ZERO && photometric !== BLACK_IS_ZERO
  const extra = tags.get(EXTRA_SAMPLES)?.[0]
  return {
    bands,
    numbers: `${bits}-bit ${kind} numbers`,
    isPlain: kind === KINDS[1] && bits <= 16,
    isColour,
    isGrey: !isColour && (bands === 1 || (bands === 2 && (extra === 1 || extra === 2))),
    compression: RARE_COMPRESSIONS[tags.get(COMPRESSION)?.[0] ?? 1],
  }
}
