/** A video as ffmpeg and ffprobe are told of it. */
import { resolve } from 'node:path'

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
