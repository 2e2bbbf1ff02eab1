/** What the OpenAPI document says of an endpoint, from the schemas that check its requests. */
import type { FastifySchema, RouteShorthandOptions } from 'fastify'
import Type, { type TObject, type TSchema } from 'typebox'
import { PROBLEM_TYPE } from '../base/problem.js'
import { ProblemSchema } from './schemas.js'

/** What is said of an endpoint besides its request. */
export interface About {
  summary: string
  description: string
  tags: string[]
  /** Of its JSON answer. */
  response: TSchema
  /** Status of its answer. Default 200. */
  status?: number
  /** It answers pictures and lines, too. Default true. */
  hasFormats?: boolean
}

const problem = { description: 'a problem', content: { [PROBLEM_TYPE]: { schema: ProblemSchema } } }
const binary = { type: 'string', format: 'binary' }

/** Failures that every endpoint with work to do can have. */
export const PROBLEMS = { '4xx': problem, '5xx': problem }

/** A form: the members of the JSON body as fields, images as files. */
function formOf({ properties }: TObject): unknown {
  const { image: _image, images: _images, ...fields } = properties as Record<string, TSchema>
  return { type: 'object', properties: { image: { type: 'array', items: binary }, ...fields } }
}

/** Options of a route whose body comes in three forms, of which the handler makes one and checks it itself. */
export function describe(request: TObject, about: About): RouteShorthandOptions {
  const { response, status = 200, hasFormats = true, ...rest } = about
  const pictures = { 'image/png': { schema: binary }, 'application/x-ndjson': { schema: Type.String() } }
  const schema = {
    ...rest,
    consumes: ['application/json', 'multipart/form-data', 'image/*'],
    body: {
      content: {
        'application/json': { schema: request },
        'multipart/form-data': { schema: formOf(request) },
        'image/*': { schema: binary },
      },
    },
    response: {
      [status]: {
        description: 'done',
        content: { 'application/json': { schema: response }, ...(hasFormats && pictures) },
      },
      ...PROBLEMS,
    },
  }
  // One object is made of the three forms first; the route checks that against the same schema.
  return { schema: schema as FastifySchema, validatorCompiler: () => () => true }
}
