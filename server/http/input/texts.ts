/** Fields that came as texts, of a form or of a query, as the members of a JSON body would be. */
import type { FastifyRequest } from 'fastify'
import { Sam3ServiceError } from 'sam3-node'

/** Fields that are texts as they are; others are JSON where they read as such. */
const TEXTS: ReadonlySet<string> = new Set(['text', 'prompt'])
/** Fields that may come several times. */
const LISTS: ReadonlySet<string> = new Set(['text', 'image'])

/** @throws Sam3ServiceError `ERR_BAD_REQUEST` for a field that came twice */
export function fromTexts(texts: readonly (readonly [string, string])[]): Record<string, unknown> {
  const fields = new Map<string, unknown[]>()
  for (const [name, text] of texts) {
    const values = fields.get(name) ?? []
    fields.set(name, [...values, TEXTS.has(name) ? text : fromText(text)])
    if (values.length > 0 && !LISTS.has(name)) throw badField(name, 'was given more than once')
  }
  return Object.fromEntries(
    [...fields].map(([name, values]) =>
      name === 'image' && values.length > 1 ? ['images', values] : [name, values.length > 1 ? values : values[0]],
    ),
  )
}

/** The fields of the query. @throws as {@link fromTexts} */
export function fromQuery({ query }: FastifyRequest): Record<string, unknown> {
  const entries = Object.entries(query as Readonly<Record<string, string | string[]>>)
  return fromTexts(entries.flatMap(([name, values]) => [values].flat().map((value) => [name, value] as const)))
}

function fromText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

export function badField(name: string, what: string): Sam3ServiceError {
  return new Sam3ServiceError('ERR_BAD_REQUEST', `The field ${JSON.stringify(name.slice(0, 80))} ${what}.`, {
    fix: 'See /openapi.json for what this endpoint takes.',
  })
}
