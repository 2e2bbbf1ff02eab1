/**
 * Raw frames with their times as a stream that ffmpeg reads: Matroska (RFC 9559) with uncompressed video. A plain pipe of
 * pixels has a constant rate only, and would lose the times of a video with a variable one.
 */

/** Ticks in a second of the stream: microseconds. */
export const TICKS_PER_SECOND = 1_000_000
const NANOSECONDS_PER_TICK = 1000

const EBML = 0x1a45dfa3
const SEGMENT = 0x18538067
const INFO = 0x1549a966
const TRACKS = 0x1654ae6b
const CLUSTER = 0x1f43b675

function id(value: number): Buffer {
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
}

/** A length in eight bytes, which every length fits in. */
function length(bytes: number): Buffer {
  const coded = Buffer.alloc(8)
  coded.writeBigUInt64BE((1n << 56n) | BigInt(bytes))
  return coded
}

function unsigned(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

function element(name: number, ...content: Buffer[]): Buffer {
  const size = content.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([id(name), length(size), ...content])
}

/**
 * What comes before the first frame.
 * @param duration Seconds that a frame is shown unless another follows it: that of the last one.
 */
export function streamHeader(width: number, height: number, duration: number): Buffer {
  const video = element(
    0xe0,
    element(0xb0, unsigned(width)),
    element(0xba, unsigned(height)),
    element(0x2eb524, Buffer.from('RGB\x18', 'latin1')), // 24 bits, red first
  )
  const track = element(
    0xae,
    element(0xd7, unsigned(1)),
    element(0x73c5, unsigned(1)),
    element(0x83, unsigned(1)), // video
    element(0x9c, unsigned(0)), // no lacing
    element(0x23e383, unsigned(Math.round(duration * 1e9))),
    element(0x86, Buffer.from('V_UNCOMPRESSED')),
    video,
  )
  return Buffer.concat([
    element(EBML, element(0x4282, Buffer.from('matroska')), element(0x4287, unsigned(4)), element(0x4285, unsigned(2))),
    id(SEGMENT),
    Buffer.from('01ffffffffffffff', 'hex'), // as long as it gets
    element(INFO, element(0x2ad7b1, unsigned(NANOSECONDS_PER_TICK))),
    element(TRACKS, track),
  ])
}

/** What comes before the pixels of a frame that is shown at `ticks`. */
export function frameHeader(ticks: number, bytes: number): Buffer {
  const time = element(0xe7, unsigned(ticks))
  // Track 1, no offset to the cluster's time, a key frame.
  const block = Buffer.from([0x81, 0, 0, 0x80])
  const blockHeader = Buffer.concat([id(0xa3), length(block.length + bytes), block])
  return Buffer.concat([id(CLUSTER), length(time.length + blockHeader.length + bytes), time, blockHeader])
}
