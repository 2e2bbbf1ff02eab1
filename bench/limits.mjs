import { must, root } from '../scripts/support/command.mjs'

/** `npm run bench -- limits`: what a card needs for the program, predicted. */
export async function main({ python }, args) {
  await must(python, ['-m', 'bench.limits', ...args], 'See npm run bench -- limits --help.', { cwd: root, show: true })
}
