/** Requests held against their schemas. */
import { Sam3ServiceError } from 'sam3-node'
import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { shortened } from '../../../lib/base/shown.js'

/** A function that checks a value, and gives it its type. */
export type Checked<T extends TSchema> = (value: unknown) => Static<T>

/**
 * Compiles a schema once.
 * @throws (the function) Sam3ServiceError `ERR_BAD_REQUEST`, which names the first part that does not fit
 */
export function checker<T extends TSchema>(schema: T): Checked<T> {
  const compiled = Compile(schema)
  return (value) => {
    if (compiled.Check(value)) return value as Static<T>
    const errors = compiled.Errors(value)
    // Of a choice every way is told as wrong; where a member is that nobody knows, that is what is wrong.
    const unknown = errors.find(({ keyword }) => keyword === 'additionalProperties')
    const first = unknown ?? errors.find(({ keyword }) => keyword !== 'boolean') ?? errors[0]!
    const name = first.instancePath.slice(1).replaceAll('/', '.')
    const where = name === '' ? 'The request' : `"${shortened(name, 80)}" of the request`
    const more = (first.params as { additionalProperties?: string[] }).additionalProperties
    const what = more ? `has a member that is not known: ${shortened(more.join(', '), 80)}` : first.message
    throw new Sam3ServiceError('ERR_BAD_REQUEST', `${where} ${what}.`, {
      fix: 'See /openapi.json for what this endpoint takes.',
    })
  }
}
