/** A video that a client sends, written to a file as it comes: it is never whole in memory. */
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FastifyRequest } from 'fastify'
import { Sam3AbortError, Sam3Error, Sam3ServiceError } from 'sam3-node'
import { throwReadable, tooLarge } from './read.js'
import { fromQuery, fromTexts } from './texts.js'

/** A video in a folder of its own, and what came beside it. */
export interface ReceivedVideo {
  path: string
  fields: Record<string, unknown>
  remove(): Promise<void>
}

/** Bytes of a field beside the video. */
const FIELD = 100_000

/**
 * Takes the video of a request: the file "video" of a form, or the body.
 * @param maxBytes Of the video.
 * @throws Sam3ServiceError `ERR_TOO_LARGE`, `ERR_BAD_REQUEST`; Sam3AbortError where the client left; nothing stays then
 */
export async function receiveVideo(request: FastifyRequest, maxBytes: number): Promise<ReceivedVideo> {
  const folder = await mkdtemp(join(tmpdir(), 'sam3-serve-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  const path = join(folder, 'video')
  try {
    const fields = request.isMultipart()
      ? await receiveForm(request, path, maxBytes).catch(throwReadable)
      : await receiveBody(request, path, maxBytes)
    return { path, fields, remove }
  } catch (error) {
    await remove()
    const hasLeft = request.raw.destroyed && !request.raw.complete && !(error instanceof Sam3Error)
    throw hasLeft ? new Sam3AbortError('the client left') : error
  }
}

async function receiveForm(request: FastifyRequest, path: string, maxBytes: number): Promise<Record<string, unknown>> {
  const texts: [string, string][] = []
  let isThere = false
  // One byte more than is taken, so that what is too large is not cut off in silence.
  const limits = { fileSize: maxBytes + 1, files: 1, fields: 50, parts: 51, fieldSize: FIELD }
  for await (const part of request.parts({ limits })) {
    if (part.type === 'field') texts.push([part.fieldname, String(part.value)])
    else {
      isThere = true
      await write(part.file, path, maxBytes)
    }
  }
  if (!isThere) {
    throw new Sam3ServiceError('ERR_BAD_REQUEST', 'The form has no file "video".', {
      fix: 'Send one, or a JSON body with "live" for frames that will be pushed.',
    })
  }
  return fromTexts(texts)
}

async function receiveBody(request: FastifyRequest, path: string, maxBytes: number): Promise<Record<string, unknown>> {
  await write(request.body as Readable, path, maxBytes)
  return fromQuery(request)
}

async function write(from: Readable, path: string, maxBytes: number): Promise<void> {
  let bytes = 0
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      done(bytes > maxBytes ? tooLarge(maxBytes) : null, chunk)
    },
  })
  await pipeline(from, count, createWriteStream(path))
}
