/** Who is let in, and how often: bearer tokens, compared in constant time; without any, everyone but pages of other sites. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import bearerAuth from '@fastify/bearer-auth'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'
import { Sam3InputError, Sam3ServiceError } from 'sam3-node'
import type { ServeConfig } from '../config/schema.js'
import { guardOrigin } from './origin.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sends it, for limits and fairness: its token, unreadable, or else its address. */
    client: string
  }
  interface FastifyContextConfig {
    /** Answered without a token: probes, and the page in which a token can be typed. */
    open?: boolean
  }
}

/** The tokens of the options and of their file. @throws Sam3InputError `ERR_INVALID_ARGUMENT` for a file that cannot be read, or is empty */
export function readTokens({ tokens = [], tokenFile }: ServeConfig): string[] {
  if (tokenFile === undefined) return tokens
  const found = [...tokens, ...readLines(tokenFile)]
  if (found.length > 0) return found
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'The file of tokens has no token: nobody could be let in.', {
    fix: 'Write one token in each line.',
  })
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `The file of tokens ${path} cannot be read (${code}).`, {
      cause,
      fix: 'Check the option token-file.',
    })
  }
}

/** Refuses requests without one of the tokens, and those of a client that sends too many; but for open routes. */
export async function guardAccess(app: FastifyInstance, config: ServeConfig): Promise<void> {
  const keys = readTokens(config)
  app.decorateRequest('client', '')
  app.addHook('onRequest', async (request) => {
    request.client = request.ip
  })
  if (keys.length > 0) await checkTokens(app, keys)
  else guardOrigin(app, config)
  if (config.rateLimit === 0) return
  await app.register(rateLimit, {
    max: config.rateLimit,
    timeWindow: MINUTE,
    keyGenerator: ({ client }) => client,
    allowList: ({ routeOptions }) => routeOptions.config.open === true,
    errorResponseBuilder: (_request, { max, ttl }) =>
      new Sam3ServiceError('ERR_RATE_LIMITED', `More than ${max} requests within a minute.`, {
        fix: 'Send the request again after the seconds that Retry-After gives.',
        retryAfter: Math.ceil(ttl / 1000),
      }),
  })
}

const MINUTE = 60_000

async function checkTokens(app: FastifyInstance, keys: readonly string[]): Promise<void> {
  await app.register(bearerAuth, { keys: new Set(keys), addHook: false, verifyErrorLogLevel: 'debug' })
  app.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.config.open) return done()
    app.verifyBearerAuth!(request, reply, (refused) => {
      if (!refused) {
        request.client = createHash('sha256').update(request.headers.authorization!).digest('base64url')
        return done()
      }
      reply.header('www-authenticate', 'Bearer')
      done(
        new Sam3ServiceError('ERR_UNAUTHORIZED', 'The request has no token that is let in.', {
          fix: 'Send the header "Authorization: Bearer <token>".',
        }),
      )
    })
  })
}
