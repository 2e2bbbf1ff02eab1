/** Which programs are run, and what is said to all of them. */
import { basename, dirname, join, resolve } from 'node:path'

/** Name that is looked for on the PATH. */
export const DEFAULT_FFMPEG = 'ffmpeg'

/** The ffprobe that belongs to an ffmpeg: beside it, named like it. */
export function ffprobeOf(ffmpeg: string): string {
  const name = basename(ffmpeg).replace('ffmpeg', 'ffprobe')
  const isPath = ffmpeg !== basename(ffmpeg)
  return isPath ? join(dirname(ffmpeg), name === basename(ffmpeg) ? 'ffprobe' : name) : name
}

/** A video as ffmpeg is told of it. */
export interface MediaInput {
  /** For messages. */
  name: string
  /** Options that come before the input, and the input. */
  args: readonly string[]
  /** Bytes, where it is a file. */
  size: number | undefined
}

/**
 * A file. `file:` and an absolute path: a name that begins with `-` is no option, one like `http:x` no address. Nothing
 * inside of the file, such as the entries of a playlist, can make ffmpeg open a connection.
 */
export function fileInput(path: string, size: number): MediaInput {
  return {
    name: path,
    args: ['-protocol_whitelist', 'file,crypto,data', '-i', `file:${resolve(path)}`],
    size,
  }
}

/** An address that the caller named as such. It may lead to other addresses, but to no file of this machine. */
export function addressInput(address: URL): MediaInput {
  const protocols = 'http,https,tcp,tls,udp,rtp,rtcp,rtsp,rtsps,rtmp,rtmps,srt,crypto,data,httpproxy'
  // What comes before the host may be a password.
  const name = `${address.protocol}//${address.host}${address.pathname}`
  return { name, args: ['-protocol_whitelist', protocols, '-i', address.href], size: undefined }
}

/** Passes frames on with their own times: none is doubled or dropped for a constant rate. */
export function keepTimes(version: string): string[] {
  const [, major, minor] = /^n?(\d+)\.(\d+)/.exec(version) ?? []
  // Builds from the repository have no number, and are newer than the option.
  const isOld = major !== undefined && (Number(major) < 5 || (Number(major) === 5 && Number(minor) < 1))
  return isOld ? ['-vsync', 'passthrough'] : ['-fps_mode', 'passthrough']
}
