/** `sam3-node serve`: the service as a process. */
import closeWithGrace from 'close-with-grace'
import { Command } from 'commander'
import { startServer } from '../app/start.js'
import { describeConfig, loadConfig } from '../config/load.js'
import { OPTIONS, type ServeConfig, variableName } from '../config/schema.js'
import { flagOf, LAST_RESORT, type ServiceFlags } from './flags.js'

export function serveCommand(): Command {
  const command = new Command('serve')
    .description('Serve the model over HTTP, with a page to try it.')
    .option('--config <file>', 'options from a file of lines "name = value", such as max-batch-size = 16')
    .option('--print-config', 'print each option with where it comes from, and end')
  for (const group of new Set(OPTIONS.map((about) => about.group))) {
    command.optionsGroup(`${group}:`)
    for (const about of OPTIONS) if (about.group === group && !about.secret) command.addOption(flagOf(about))
  }
  return command.addHelpText('after', HELP).action(serve)
}

const HELP = `
Each option can also be a line of the file that --config names, or a variable: ${variableName('maxBatchSize')} is
--max-batch-size. A flag goes before the file, the file before a variable. Tokens are never flags: ${variableName('tokens')}
or --token-file has them.

Examples:
  $ sam3-node serve --model demo
  $ sam3-node serve --host 0.0.0.0 --token-file tokens.txt --max-queue-size 64`

/** Says where to go, to who has started it by hand: the log is for programs. */
export function invite(
  stream: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>,
  address: string,
  { page }: Pick<ServeConfig, 'page'>,
): void {
  if (!stream.isTTY) return
  const places = [page && `The page  ${address}/`, `The API   ${address}/docs`, 'Ctrl+C ends it.']
  stream.write(`\n${places.filter(Boolean).join('\n')}\n\n`)
}

async function serve({ config: file, printConfig, ...flags }: ServiceFlags): Promise<void> {
  const loaded = loadConfig({ flags, file, env: process.env })
  if (printConfig) {
    process.stdout.write(`${describeConfig(loaded)}\n`)
    return
  }
  const { config } = loaded
  const server = await startServer(config, {})
  server.app.log.info({ address: server.address }, 'listening')
  closeWithGrace({ delay: config.shutdownTimeoutMs + LAST_RESORT, logger: false }, async ({ signal, err }) => {
    if (err) server.app.log.fatal({ err }, 'a fault: the service ends')
    else server.app.log.info({ signal }, 'shutting down')
    await server.close()
  })
  await server.ready.catch(async (error: unknown) => {
    await server.close()
    throw error
  })
  invite(process.stderr, server.address, config)
}
