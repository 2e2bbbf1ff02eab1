// Runs a program of node_modules/.bin after set-up, so that it works as the first command in a clone, too:
//
//   node scripts/tool.mjs STEP[,STEP...] PROGRAM [ARGUMENT...]

import path from 'node:path'
import { afterSetup } from './support/after-setup.mjs'
import { root, run } from './support/command.mjs'

const [steps, program, ...args] = process.argv.slice(2)

async function main() {
  const { code } = await run(path.join(root, 'node_modules', '.bin', program), args, { show: true })
  process.exitCode = code
}

await afterSetup(steps.split(','), async () => ({ main }))
