/** Listens, and says what to do where that cannot be. */
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { Sam3InputError } from 'sam3-node'

interface Place {
  host: string
  port: number
}

const LOST_NAME = ['that name leads nowhere', 'Take 127.0.0.1, or 0.0.0.0 for all addresses of this machine.'] as const

const FIXES: Readonly<Record<string, (place: Place) => readonly [why: string, fix: string]>> = {
  EADDRINUSE: ({ port }) => [
    'something listens there already',
    `End it, or take another port: --port ${(port % 65_535) + 1}, or --port 0 for one that is free.`,
  ],
  EACCES: () => ['this user may not', 'Take a port from 1024 on, with a proxy before it.'],
  EADDRNOTAVAIL: () => ['this machine does not have that address', 'Take 127.0.0.1, or 0.0.0.0 for all that it has.'],
  EAI_AGAIN: () => LOST_NAME,
  ENOTFOUND: () => LOST_NAME,
}

/**
 * @returns where it listens, such as `http://127.0.0.1:8080`
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT` for a place where it cannot; other errors of the system as they are
 */
export async function listen(app: FastifyInstance, place: Place): Promise<string> {
  try {
    await app.listen(place)
  } catch (cause) {
    const told = FIXES[(cause as NodeJS.ErrnoException).code ?? '']?.(place)
    if (!told) throw cause
    const [why, fix] = told
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `It cannot listen at ${place.host}:${place.port}: ${why}.`, {
      cause,
      fix,
    })
  }
  const { address, family, port } = app.server.address() as AddressInfo
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}
