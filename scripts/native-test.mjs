// The tests of native/, without Node: builds the sam3_native_tests program and runs it.
//
//   node scripts/native-test.mjs [--sanitize] [--fuzz N] [-- doctest's own options, as --test-case='json*']
//
// --sanitize   our code under AddressSanitizer and UndefinedBehaviorSanitizer, in a build tree of its own
// --fuzz N     N random cases for each reader instead of 20,000
//
// Exit codes: 0 passed, 1 failed, 77 not run because doctest is not installed.

import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { must, root, run, SetupError } from './support/command.mjs'
import { goldenEnvironment } from './support/golden-set.mjs'
import { projectPython } from './support/python.mjs'
import { report } from './support/steps.mjs'

const NOT_RUN = 77
const TARGET = 'sam3_native_tests'
const FIX = 'Read the first error above. If LibTorch changed, remove the folder build and run this again.'

/** LibTorch itself is not instrumented: what is found is in our code, or in what it hands to LibTorch. */
const SANITIZERS = {
  ASAN_OPTIONS: 'strict_string_checks=1:detect_stack_use_after_return=1',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
}

const cacheValue = (tree, name) =>
  new RegExp(`^${name}:\\w+=(.*)$`, 'm').exec(readFileSync(path.join(tree, 'CMakeCache.txt'), 'utf8'))?.[1] ?? ''

/**
 * Configures a build tree for the tests. Without sanitizers that is the addon's own tree, so that the library is compiled
 * once for both.
 */
async function configure(sanitize) {
  const libtorch = process.env.LIBTORCH ?? (await projectPython()).torch.folder
  const options = [`-DLIBTORCH=${libtorch}`, '-DSAM3_NATIVE_TESTS=ON']
  if (sanitize) {
    const tree = path.join(root, 'build', 'native-asan')
    await must('cmake', ['-S', root, '-B', tree, '-DSAM3_SANITIZE=ON', ...options], FIX)
    return { tree, program: path.join(tree, TARGET) }
  }
  const tree = path.join(root, 'build')
  if (!existsSync(path.join(tree, 'CMakeCache.txt'))) {
    const cmakeJs = path.join(root, 'node_modules', '.bin', 'cmake-js')
    await must(cmakeJs, ['configure', '--config', 'Release', `--CDLIBTORCH=${libtorch}`], FIX)
  }
  await must('cmake', [...options, tree], FIX)
  return { tree, program: path.join(tree, 'Release', TARGET) }
}

const separator = process.argv.indexOf('--')
const ours = separator < 0 ? process.argv.slice(2) : process.argv.slice(2, separator)
const doctest = separator < 0 ? [] : process.argv.slice(separator + 1)

try {
  const { values } = parseArgs({ args: ours, options: { sanitize: { type: 'boolean' }, fuzz: { type: 'string' } } })
  if (values.fuzz !== undefined && !/^[1-9]\d*$/.test(values.fuzz))
    throw new SetupError(`--fuzz ${values.fuzz} is no number of cases.`, 'Give a whole number, as --fuzz 100000.')

  const { tree, program } = await configure(values.sanitize)
  if (/NOTFOUND$/.test(cacheValue(tree, 'DOCTEST_INCLUDE_DIR'))) {
    console.log(
      'doctest is not installed (Debian and Ubuntu: apt install doctest-dev, others: https://github.com/doctest/doctest)',
    )
    process.exitCode = NOT_RUN
  } else {
    await must('cmake', ['--build', tree, '--target', TARGET, '--parallel', '2'], FIX)
    const env = {
      // Threads that wait by spinning take the cores from each other when anything else runs.
      OMP_WAIT_POLICY: 'passive',
      ...(await goldenEnvironment({ python: (await projectPython()).executable })),
      ...(values.sanitize && SANITIZERS),
      ...(values.fuzz && { SAM3_FUZZ_CASES: values.fuzz }),
    }
    const { code } = await run(program, doctest, { env, show: true })
    process.exitCode = code === 0 ? 0 : 1
  }
} catch (error) {
  report(error)
}
