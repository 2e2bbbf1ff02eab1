/** Which form of answer a request wants: `format` says it, else the header Accept, else COCO RLE in JSON. */
import type { FastifyRequest } from 'fastify'
import { Sam3ServiceError } from 'sam3-node'

export const FORMATS = ['rle', 'polygons', 'overlay', 'labels', 'ndjson'] as const
export type Format = (typeof FORMATS)[number]

/** Media types of the formats, and which format a type alone means. */
export const JSON_TYPE = 'application/json'
export const PNG_TYPE = 'image/png'
export const NDJSON_TYPE = 'application/x-ndjson'
const MEANT: Readonly<Record<string, Format>> = { [JSON_TYPE]: 'rle', [PNG_TYPE]: 'overlay', [NDJSON_TYPE]: 'ndjson' }

/** @throws Sam3ServiceError `ERR_NOT_ACCEPTABLE` */
export function chooseFormat(request: FastifyRequest, format: string | undefined): Format {
  if (format !== undefined) return format as Format // checked by the schema
  const { accept } = request.headers
  if (accept === undefined) return 'rle'
  const ranges = accept
    .split(',')
    .map(parseRange)
    .filter(({ quality }) => quality > 0)
  for (const { type } of ranges.toSorted((a, b) => b.quality - a.quality)) {
    const found = Object.keys(MEANT).find(
      (known) => type === known || type === '*/*' || type === `${known.split('/')[0]}/*`,
    )
    if (found) return MEANT[found]!
  }
  throw new Sam3ServiceError('ERR_NOT_ACCEPTABLE', 'None of the types of the header Accept can be made.', {
    fix: `Accept one of ${Object.keys(MEANT).join(', ')}, or name a format.`,
  })
}

function parseRange(text: string): { type: string; quality: number } {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase())
  const quality = parameters.find((parameter) => parameter.startsWith('q='))
  return { type, quality: quality === undefined ? 1 : Number(quality.slice(2)) || 0 }
}
