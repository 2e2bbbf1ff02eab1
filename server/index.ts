/**
 * SAM 3 as an HTTP service: `npx sam3-node serve` within a program. Its packages are optional peers of sam3-node.
 *
 * @module sam3-node/server
 */
import type { Sam3ImageModel } from 'sam3-node'
import type { Server, ServerContext, StartedServer } from './app/start.js'
import { loadService } from './load-service.js'
import type { ServeConfig, ServeOptions } from './config/schema.js'

export type { ServeConfig, Server, ServerContext, ServeOptions, StartedServer }

/**
 * Loads a model and serves it. It listens at once: `/readyz` says when the model is there.
 *
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT` for a bad option, Sam3EnvironmentError `ERR_PACKAGE_MISSING`; it also
 *   rejects where it cannot listen. `ready` rejects as `buildSam3VideoModel` does.
 *
 * @example
 * ```ts
 * const server = await startServer({ model: 'demo', port: 0 })
 * await server.ready
 * const answer = await fetch(`${server.address}/v1/segment?text=cup`, {
 *   method: 'POST', headers: { 'content-type': 'image/jpeg' }, body: await readFile('photo.jpg'),
 * })
 * await server.close()
 * ```
 */
export async function startServer(options: ServeOptions = {}, context: ServerContext = {}): Promise<StartedServer> {
  const { loadConfig, startServer } = await loadService()
  return startServer(loadConfig({ options }).config, context)
}

/**
 * A service around a model that is loaded already, which does not listen yet. `close()` disposes of the model.
 *
 * @throws As {@link startServer}
 *
 * @example
 * ```ts
 * const server = await buildServer(model, { maxImages: 4 })
 * const { statusCode } = await server.app.inject({ url: '/readyz' })
 * ```
 */
export async function buildServer(
  model: Sam3ImageModel,
  options: ServeOptions = {},
  context: ServerContext = {},
): Promise<Server> {
  const { buildServer } = await loadService()
  return buildServer(model, options, context)
}

/**
 * A command of the command line, `serve` or `work`, with its arguments; for the executable of this package.
 * @internal
 */
export async function runCommand(args: readonly string[]): Promise<void> {
  const { runServiceCommand } = await loadService()
  await runServiceCommand(args)
}
