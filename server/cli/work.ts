/** `sam3-node work`: a worker as a process. */
import closeWithGrace from 'close-with-grace'
import { Command } from 'commander'
import { startWorker } from '../app/start-worker.js'
import { describeConfig, loadConfig } from '../config/load.js'
import { OPTIONS } from '../config/schema.js'
import { flagOf, LAST_RESORT, type ServiceFlags } from './flags.js'

/** Groups of options that a worker has. */
const GROUPS = ['Listening', 'Model', 'Jobs', 'Operation']
/** Those of other groups. */
const MORE = ['maxBatchSize', 'deviceTimeoutMs', 'maxPayloadBytes', 'urlHosts', 'urlTimeoutMs']

export function workCommand(): Command {
  const command = new Command('work')
    .description('Take jobs from a queue in Redis: folders of images, videos.')
    .option('--config <file>', 'options from a file of lines "name = value", such as job-concurrency = 4')
    .option('--print-config', 'print each option with where it comes from, and end')
  for (const group of GROUPS) {
    command.optionsGroup(`${group}:`)
    for (const about of OPTIONS) if (about.group === group && !about.secret) command.addOption(flagOf(about))
  }
  command.optionsGroup('Limits:')
  for (const about of OPTIONS) if (MORE.includes(about.name)) command.addOption(flagOf(about))
  return command.addHelpText('after', HELP).action(work)
}

const HELP = `
Options, files and variables are those of serve: one file does for both. Several workers share a queue; each has a
model, and they see the folders of jobs under the same paths. At --host and --port are /livez, /readyz and /metrics.

Examples:
  $ sam3-node work --redis redis://127.0.0.1:6379 --job-roots /data --model demo
  $ sam3-node work --redis rediss://queue.example:6379 --job-roots /data,/results --device cuda:1 --port 8081`

async function work({ config: file, printConfig, ...flags }: ServiceFlags): Promise<void> {
  const loaded = loadConfig({ flags, file, env: process.env })
  if (printConfig) {
    process.stdout.write(`${describeConfig(loaded)}\n`)
    return
  }
  const { config } = loaded
  const worker = await startWorker(config)
  closeWithGrace({ delay: config.shutdownTimeoutMs + LAST_RESORT, logger: false }, async ({ signal, err }) => {
    if (err) worker.app.log.fatal({ err }, 'a fault: the worker ends')
    else worker.app.log.info({ signal }, 'shutting down')
    await worker.close()
  })
  await worker.ready.catch(async (error: unknown) => {
    await worker.close()
    throw error
  })
}
