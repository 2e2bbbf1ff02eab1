/** The half of the service that needs the optional packages; index.ts loads it. */
import { Command } from 'commander'
import { serveCommand } from './cli/serve.js'
import { workCommand } from './cli/work.js'

export { buildServer, startServer } from './app/start.js'
export { loadConfig } from './config/load.js'

/** Runs one command line, such as `['serve', '--port', '0']`. @throws what the command throws, and CommanderError */
export async function runServiceCommand(args: readonly string[]): Promise<void> {
  const program = new Command('sam3-node').addCommand(serveCommand()).addCommand(workCommand())
  program.exitOverride()
  for (const command of program.commands) command.exitOverride()
  await program.parseAsync(args, { from: 'user' })
}
