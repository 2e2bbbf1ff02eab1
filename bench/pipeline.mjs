import path from 'node:path'
import { parseArgs } from 'node:util'
import { must } from '../scripts/support/command.mjs'
import { buildStandin } from '../scripts/support/native-tests.mjs'
import { shapesEnvironment } from '../scripts/support/shapes-model.mjs'

/** `npm run bench -- pipeline`: how near the engine comes to the speed of a device that is simulated. */
export async function main(context, args) {
  const string = { type: 'string' }
  const { values } = parseArgs({ args, options: { images: string, threads: string, scale: string } })
  const { images = '64', threads = '8', scale = '16' } = values
  const program = path.join(await buildStandin(context), 'sam3_standin_tests')
  const env = { OMP_WAIT_POLICY: 'passive', ...shapesEnvironment() }
  await must(program, ['pipeline', images, threads, scale], 'See npm run bench -- --help.', { env, show: true })
}
