/** A request's body in any of its forms (JSON, a form, a bare image) as one object, its images aside. */
import type { FastifyRequest } from 'fastify'
import { Sam3ServiceError } from 'sam3-node'
import type { ServeConfig } from '../../config/schema.js'
import type { Running } from '../running-requests.js'
import { badField, fromQuery, fromTexts } from './texts.js'

/** What a request brought. */
export interface RequestInput {
  /** By their names; not checked yet. */
  fields: Record<string, unknown>
  /** Encoded images, in the order in which they came. */
  files: Buffer[]
}

/** Names under which files are taken. */
const FILES: ReadonlySet<string> = new Set(['image', 'images', 'file'])

/**
 * Reads a request and checks it; from then on its own time limit holds.
 * @throws as {@link readInput}, and what `check` throws
 */
export async function readAsked<T extends { timeoutMs?: number }>(
  request: FastifyRequest,
  config: ServeConfig,
  check: (value: unknown) => T,
  limit: Running['limit'],
): Promise<{ input: RequestInput; asked: T }> {
  const input = await readInput(request, config)
  const asked = check(input.fields)
  limit(asked.timeoutMs)
  return { input, asked }
}

/** @throws Sam3ServiceError `ERR_BAD_REQUEST`, `ERR_TOO_LARGE`, `ERR_UNSUPPORTED_MEDIA_TYPE`; what Fastify's parsers throw */
export async function readInput(request: FastifyRequest, config: ServeConfig): Promise<RequestInput> {
  if (request.isMultipart()) {
    return readForm(request, config).catch(throwReadable)
  }
  const { body } = request
  if (Buffer.isBuffer(body)) return { fields: fromQuery(request), files: [body] }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Sam3ServiceError('ERR_BAD_REQUEST', 'The request has no body, or one that is no JSON object.', {
      fix: 'Send a JSON object, multipart/form-data, or the bytes of an image with its image/* type.',
    })
  }
  return { fields: body as Record<string, unknown>, files: [] }
}

/** Parts in any order; each file is whole before the next part is read, and one that is too large ends the reading. */
async function readForm(request: FastifyRequest, config: ServeConfig): Promise<RequestInput> {
  const { maxPayloadBytes, maxImages } = config
  const files: Buffer[] = []
  const texts: [string, string][] = []
  let bytes = 0
  const count = (more: number) => {
    bytes += more
    if (bytes > maxPayloadBytes) throw tooLarge(maxPayloadBytes)
  }
  const limits = {
    fileSize: maxPayloadBytes,
    fieldSize: maxPayloadBytes,
    files: maxImages,
    fields: 100,
    parts: 100 + maxImages,
  }
  for await (const part of request.parts({ limits })) {
    if (part.type === 'field') {
      const text = String(part.value)
      count(text.length)
      texts.push([part.fieldname, text])
      continue
    }
    if (!FILES.has(part.fieldname)) {
      part.file.resume()
      throw badField(part.fieldname, 'is a file; files are named "image"')
    }
    const chunks: Buffer[] = []
    for await (const chunk of part.file) {
      count((chunk as Buffer).length)
      chunks.push(chunk as Buffer)
    }
    if (part.file.truncated) throw tooLarge(maxPayloadBytes)
    files.push(Buffer.concat(chunks))
  }
  return { fields: fromTexts(texts), files }
}

/** What the parser says of a broken form has no code and no class of its own. */
export function throwReadable(error: unknown): never {
  throw error instanceof Error && error.name === 'Error' && !('code' in error) ? badForm(error) : error
}

function badForm(cause: Error): Sam3ServiceError {
  return new Sam3ServiceError('ERR_BAD_REQUEST', `The form cannot be read: ${cause.message}.`, {
    fix: 'Send multipart/form-data whose parts and end are whole.',
    cause,
  })
}

export function tooLarge(most: number): Sam3ServiceError {
  return new Sam3ServiceError('ERR_TOO_LARGE', `The request has more than ${most} bytes.`, {
    fix: 'Send fewer or smaller images.',
  })
}
