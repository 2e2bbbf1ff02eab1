import path from 'node:path'
import { must, root } from '../scripts/support/command.mjs'

/** `npm run bench -- masks`: a mask from logits to run lengths, beside pycocotools' encode. */
export async function main({ python }) {
  const tree = path.join(root, 'build')
  const fix = 'Read the first error above.'
  await must('cmake', ['--build', tree, '--target', 'sam3_native_bench', '--parallel', '2'], fix)
  const program = path.join(tree, 'Release', 'sam3_native_bench')
  await must(python, ['-m', 'bench.masks', program], fix, { cwd: root, env: { OMP_NUM_THREADS: '1' }, show: true })
}
