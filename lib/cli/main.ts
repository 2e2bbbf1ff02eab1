/** The command line: `sam3-node <command>`. Each command is a file of its own. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { packageRoot } from '../base/package-root.js'
import { refuseSwallowedOptions } from './common/arguments.js'
import { cacheCommand } from './models/cache.js'
import { doctorCommand } from './doctor/doctor.js'
import { inspectCommand } from './doctor/inspect.js'
import { libtorchCommand } from './libtorch/libtorch.js'
import { describeFailure, exitCodeOf, USAGE_EXIT_CODE } from './common/output.js'
import { pullCommand } from './models/pull.js'
import { segmentCommand } from './segment/segment.js'
import { trackCommand } from './track/track.js'

const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }

const program = new Command('sam3-node')
  .description("Meta's SAM 3 on the command line: find and cut out everything that a text, a box or a click describes.")
  .version(version)
  // libtorch install has a --version of its own.
  .enablePositionalOptions()
  .showHelpAfterError('(sam3-node --help shows what there is)')
  .addCommand(segmentCommand())
  .addCommand(trackCommand())
  .addCommand(pullCommand())
  .addCommand(cacheCommand())
  .addCommand(libtorchCommand())
  .addCommand(doctorCommand())
  .addCommand(inspectCommand())

/** A command and all below it. */
function each(command: Command, apply: (one: Command) => void): void {
  apply(command)
  for (const one of command.commands) each(one, apply)
}
each(program, (command) => command.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : USAGE_EXIT_CODE)))
program.hook('preAction', (_program, command) => refuseSwallowedOptions(command))

// Whoever reads the results may have seen enough of them (`| head`); without a reader of messages the work goes on.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit()
  fail(error)
})
process.stderr.on('error', () => {})
process.on('uncaughtException', fail)

function fail(error: unknown): never {
  process.stderr.write(`${describeFailure(error)}\n`)
  process.exit(exitCodeOf(error))
}

try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`${describeFailure(error)}\n`)
  process.exitCode = exitCodeOf(error)
}
