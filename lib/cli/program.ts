/** The command line: `sam3-node <command>`. Each command is a file of its own. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { packageRoot } from '../base/package-root.js'
import { refuseSwallowedOptions } from './common/arguments.js'
import { cacheCommand } from './models/cache.js'
import { doctorCommand } from './doctor/doctor.js'
import { inspectCommand } from './doctor/inspect.js'
import { libtorchCommand } from './libtorch/libtorch.js'
import { describeFailure, exitCodeOf, USAGE_EXIT_CODE } from './common/output.js'
import { pullCommand } from './models/pull.js'
import { segmentCommand } from './segment/segment.js'
import { serviceCommand } from './service.js'
import { trackCommand } from './track/track.js'

/** A command and all below it. */
function each(command: Command, apply: (one: Command) => void): void {
  apply(command)
  for (const one of command.commands) each(one, apply)
}

function makeProgram(): Command {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }
  const program = new Command('sam3-node')
    .description(
      "Meta's SAM 3 on the command line: find and cut out everything that a text, a box or a click describes.",
    )
    .version(version)
    // libtorch install has a --version of its own.
    .enablePositionalOptions()
    .showHelpAfterError('(sam3-node --help shows what there is)')
    .addCommand(segmentCommand())
    .addCommand(trackCommand())
    .addCommand(pullCommand())
    .addCommand(cacheCommand())
    .addCommand(libtorchCommand())
    .addCommand(serviceCommand('serve', 'Serve the model over HTTP, with a page to try it.'))
    .addCommand(serviceCommand('work', 'Take jobs from a queue in Redis: folders of images, videos.'))
    .addCommand(doctorCommand())
    .addCommand(inspectCommand())
    .hook('preAction', (_program, command) => refuseSwallowedOptions(command))
  // Commander would end the process.
  each(program, (command) => command.exitOverride())
  return program
}

/** Tells of a failure, and sets the exit code of the process. */
export function fail(error: unknown): void {
  if (error instanceof CommanderError) {
    // It has told already: of what cannot be understood, or all that --help and --version ask for.
    if (error.exitCode !== 0) process.exitCode = USAGE_EXIT_CODE
    return
  }
  process.stderr.write(`${describeFailure(error)}\n`)
  process.exitCode = exitCodeOf(error)
}

/** Runs one command line (without the names of Node and of the program); the exit code is set, nothing is thrown. */
export async function runCommandLine(args: readonly string[]): Promise<void> {
  await makeProgram().parseAsync(args, { from: 'user' }).catch(fail)
}
