/** The executable `sam3-node`: a command line in a process of its own. */
import { fail, runCommandLine } from './program.js'

// Whoever reads the results may have seen enough of them (`| head`); without a reader of messages the work goes on.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') fail(error)
  process.exit()
})
process.stderr.on('error', () => {})
process.on('uncaughtException', (error) => {
  fail(error)
  process.exit()
})

await runCommandLine(process.argv.slice(2))
