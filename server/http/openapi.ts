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
  /** Of its path. */
  params?: TSchema
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

/** Options of a route that takes JSON alone, which it checks itself. */
export function describeJson(request: TObject, about: About & { type?: string }): RouteShorthandOptions {
  const { response, status = 200, type = 'application/json', hasFormats: _none, ...rest } = about
  const schema = {
    ...rest,
    body: { content: { 'application/json': { schema: request } } },
    response: { [status]: { description: 'done', content: { [type]: { schema: response } } }, ...PROBLEMS },
  }
  return { schema: schema as FastifySchema, validatorCompiler: () => () => true }
}

/** Options of a route that takes a video as a file of a form or as its body, or JSON; it checks them itself. */
export function describeVideo(request: TObject, about: About): RouteShorthandOptions {
  const { response, hasFormats: _none, ...rest } = about
  const { live: _live, ...fields } = request.properties as Record<string, TSchema>
  const schema = {
    ...rest,
    body: {
      content: {
        'application/json': { schema: request },
        'multipart/form-data': { schema: { type: 'object', properties: { video: binary, ...fields } } },
        'video/*': { schema: binary },
      },
    },
    response: { 201: { description: 'done', content: { 'application/json': { schema: response } } }, ...PROBLEMS },
  }
  return { schema: schema as FastifySchema, validatorCompiler: () => () => true }
}
