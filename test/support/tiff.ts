/** Writes TIFF files that no ordinary program writes: any number of bands, any kind of number, any tags. */

/** A kind of number of TIFF: the value of its SampleFormat tag, its bits, and how one is written. */
const SAMPLES = {
  uint8: [1, 8, (view, at, value) => view.setUint8(at, value)],
  uint16: [1, 16, (view, at, value) => view.setUint16(at, value, true)],
  uint32: [1, 32, (view, at, value) => view.setUint32(at, value, true)],
  int8: [2, 8, (view, at, value) => view.setInt8(at, value)],
  int16: [2, 16, (view, at, value) => view.setInt16(at, value, true)],
  int32: [2, 32, (view, at, value) => view.setInt32(at, value, true)],
  float32: [3, 32, (view, at, value) => view.setFloat32(at, value, true)],
  float64: [3, 64, (view, at, value) => view.setFloat64(at, value, true)],
  // The imaginary part stays 0.
  complex64: [6, 64, (view, at, value) => view.setFloat32(at, value, true)],
} satisfies Record<string, [number, number, (view: DataView, at: number, value: number) => void]>

/** What is written. */
export interface TiffImage {
  width: number
  height: number
  sample: keyof typeof SAMPLES
  /** `width * height * bands` values, bands interleaved. */
  data: ArrayLike<number>
  /** Tags of type SHORT besides those that every file has, or instead of them; undefined leaves one out. */
  tags?: Readonly<Record<number, number | readonly number[] | undefined>>
}

const [SHORT, LONG] = [3, 4]

/** The bytes of an uncompressed little-endian TIFF of one strip. */
export function tiff({ width, height, sample, data, tags = {} }: TiffImage): Buffer {
  const [format, bits, write] = SAMPLES[sample]
  const bands = data.length / (width * height)
  const pixels = new DataView(new ArrayBuffer((data.length * bits) / 8))
  for (let at = 0; at < data.length; at++) write(pixels, (at * bits) / 8, data[at]!)
  const all: Record<number, number | readonly number[] | undefined> = {
    256: width,
    257: height,
    258: Array<number>(bands).fill(bits),
    259: 1, // not compressed
    262: bands >= 3 ? 2 : 1, // RGB, else black is zero
    273: 8, // where the strip starts
    277: bands,
    278: height,
    279: pixels.byteLength,
    284: 1, // bands interleaved
    ...(bands > 3 ? { 338: Array<number>(bands - 3).fill(0) } : {}), // what the further bands are is not said
    339: Array<number>(bands).fill(format),
    ...tags,
  }
  const entries = Object.entries(all).flatMap(([tag, values]) =>
    values === undefined ? [] : [{ tag: Number(tag), values: [values].flat() as number[] }],
  )
  const directory = new DataView(new ArrayBuffer(2 + entries.length * 12 + 4))
  const spill: Buffer[] = []
  let spillAt = 8 + pixels.byteLength + directory.byteLength
  directory.setUint16(0, entries.length, true)
  for (const [index, { tag, values }] of entries.entries()) {
    const at = 2 + index * 12
    const wide = values.some((value) => value > 0xffff)
    directory.setUint16(at, tag, true)
    directory.setUint16(at + 2, wide ? LONG : SHORT, true)
    directory.setUint32(at + 4, values.length, true)
    if (values.length === 1) directory.setUint32(at + 8, values[0]!, true)
    else if (values.length === 2 && !wide)
      for (const [i, value] of values.entries()) directory.setUint16(at + 8 + i * 2, value, true)
    else {
      directory.setUint32(at + 8, spillAt, true)
      const bytes = Buffer.alloc(values.length * 2)
      for (const [i, value] of values.entries()) bytes.writeUInt16LE(value, i * 2)
      spill.push(bytes)
      spillAt += bytes.length
    }
  }
  const header = Buffer.from([0x49, 0x49, 42, 0, 0, 0, 0, 0])
  header.writeUInt32LE(8 + pixels.byteLength, 4)
  return Buffer.concat([header, Buffer.from(pixels.buffer), Buffer.from(directory.buffer), ...spill])
}
