/** What can go wrong with an answer, and how it is sent then. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** One request as a test sees it. */
export interface HubRequest {
  /** `hub`, or `cdn` for the other host to which large files are redirected. */
  host: 'hub' | 'cdn'
  method: string
  /** Without the query. */
  path: string
  /** First byte of the range asked for. */
  from: number
  authorization: string | undefined
  /** 0 until it is answered. */
  status: number
}

/** A fault of one answer. */
export interface Fault {
  /** Answer with this status instead. */
  status?: number
  headers?: Record<string, string>
  /** Send this many bytes of the body, then break the connection. */
  breakAfter?: number
  /** Send this many bytes of the body, then end it as if it were complete (chunked, so that no length gives it away). */
  endAfter?: number
  /** Send this many bytes of the body, then nothing more. */
  hangAfter?: number
  /** Change one byte of the body. */
  corrupt?: boolean
  /** Send everything from the start, with status 200. */
  ignoreRange?: boolean
  /** Send the body in pieces of this many bytes with a pause (ms) between. */
  trickle?: { bytes: number; pause: number }
  /** Called when this many bytes of the body have been sent. */
  at?: { bytes: number; call: () => void }
}

/** Gives the fault of a request, or none. */
export type FaultRule = (request: HubRequest) => Fault | undefined

/** Sends a content: whole or the range asked for, and as the fault has it. */
export async function sendContent(
  request: IncomingMessage,
  response: ServerResponse,
  content: Buffer,
  headers: Record<string, string>,
  fault: Fault = {},
): Promise<void> {
  const range = fault.ignoreRange ? undefined : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  const start = range ? Number(range[1]) : 0
  const end = range?.[2] ? Math.min(Number(range[2]), content.length - 1) : content.length - 1
  if (range && start >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end()
    return
  }
  let body = Buffer.from(content.subarray(start, end + 1))
  if (fault.corrupt && body.length > 0) body[Math.floor(body.length / 2)]! ^= 1
  const rangeHeaders: Record<string, string> = range
    ? { 'content-range': `bytes ${start}-${end}/${content.length}` }
    : {}
  const length: Record<string, string> = fault.endAfter === undefined ? { 'content-length': String(body.length) } : {}
  response.writeHead(range ? 206 : 200, { 'accept-ranges': 'bytes', ...headers, ...rangeHeaders, ...length })
  if (request.method === 'HEAD') {
    response.end()
    return
  }
  const cut = fault.breakAfter ?? fault.endAfter ?? fault.hangAfter
  if (cut !== undefined) body = body.subarray(0, cut)
  await sendBody(response, body, fault)
  if (fault.breakAfter !== undefined) response.socket?.destroy()
  else if (fault.hangAfter === undefined) response.end()
}

async function sendBody(
  response: ServerResponse,
  body: Buffer,
  { trickle, breakAfter, hangAfter, at }: Fault,
): Promise<void> {
  const step = trickle?.bytes ?? Math.max(1, body.length)
  for (let sent = 0; sent < body.length && !response.destroyed; sent += step) {
    // The callback comes with an error when the client has gone.
    await new Promise<void>((resolve) => response.write(body.subarray(sent, sent + step), () => resolve()))
    if (at && sent + step >= at.bytes) {
      at.call()
      at = undefined
    }
    if (trickle) await sleep(trickle.pause)
  }
  // What was written has to leave before the connection breaks, or the client sees less than the test says.
  if (breakAfter !== undefined || hangAfter !== undefined) await sleep(20)
}
