/** The command line: `sam3-node <command>`. Each command is a file of its own. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { packageRoot } from '../native/package-root.js'
import { cacheCommand } from './cache.js'
import { doctorCommand } from './doctor.js'
import { inspectCommand } from './inspect.js'
import { libtorchCommand } from './libtorch.js'
import { describeError } from './output.js'
import { pullCommand } from './pull.js'
import { segmentCommand } from './segment.js'
import { trackCommand } from './track.js'

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

try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`)
  process.exitCode = 1
}
