/** Commands of the HTTP service. It lies above this command line, and its packages are optional: it is loaded when it is used. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Command } from 'commander'
import { packageRoot } from '../base/package-root.js'

interface Service {
  runCommand(args: readonly string[]): Promise<void>
}

/** A command whose options, and whose help, are those of the service. */
export function serviceCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .argument('[options...]')
    .helpOption(false)
    .allowUnknownOption()
    .action(async (args: string[]) => {
      const file = join(packageRoot(), 'dist', 'server.js')
      const { runCommand } = (await import(pathToFileURL(file).href)) as Service
      await runCommand([name, ...args])
    })
}
