// Builds the programs of the native tests and runs them: all tests, those of the queue alone under ThreadSanitizer, and on
// the stand-in for a GPU its own tests, the budgets and what moves tensors between host and device.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { must, root, run, SetupError } from './command.mjs'
import { goldenEnvironment } from './golden-set.mjs'
import { shapesEnvironment } from './shapes-model.mjs'

const TARGET = 'sam3_native_tests'
const QUEUE_TARGET = 'sam3_queue_tests'
const STANDIN_TARGET = 'sam3_standin_tests'
const STANDIN_ENGINE = 'sam3_standin_engine'
/** What runs on the stand-in, unless all does: itself, the budgets, and the paths of tensors through the engine. */
const SHORT = [
  '--source-file=*/native/standin/*,*/engine/*,*/concept_detector_test.cc,*/concept_flow_test.cc,*/tracker_golden_test.cc,*/recondition_test.cc,*/memory_limit_test.cc',
]
const FIX = 'Read the first error above. If LibTorch changed, remove the folder build and run this again.'

/** LibTorch itself is not instrumented: what is found is in our code, or in what it hands to LibTorch. */
const SANITIZERS = {
  ASAN_OPTIONS: 'strict_string_checks=1:detect_stack_use_after_return=1',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
}

/**
 * Configures a build tree for the tests. Without sanitizers that is the addon's own tree, so that the library is compiled
 * once for both.
 */
async function configure({ libtorch, doctest }, sanitize) {
  const options = [`-DLIBTORCH=${libtorch}`, '-DSAM3_WERROR=ON', '-DSAM3_NATIVE_TESTS=ON']
  options.push(`-DDOCTEST_INCLUDE_DIR=${doctest}`)
  if (sanitize) {
    const tree = path.join(root, 'build', 'native-asan')
    await must('cmake', ['-S', root, '-B', tree, '-DSAM3_SANITIZE=ON', ...options], FIX)
    return { tree, programs: tree }
  }
  const tree = path.join(root, 'build')
  if (!existsSync(path.join(tree, 'CMakeCache.txt'))) {
    const cmakeJs = path.join(root, 'node_modules', '.bin', 'cmake-js')
    await must(cmakeJs, ['configure', '--config', 'Release', `--CDLIBTORCH=${libtorch}`], FIX)
  }
  await must('cmake', [...options, tree], FIX)
  return { tree, programs: path.join(tree, 'Release') }
}

/** Names NVIDIA's compiler, of the Python packages, to the tests. */
async function nvrtcEnvironment({ python }) {
  const program =
    "from importlib.metadata import files; print(*(f.locate() for f in files('nvidia-cuda-nvrtc-cu12') if f.name == 'libnvrtc.so.12'))"
  const { code, output } = await run(python, ['-c', program])
  if (code !== 0) throw new SetupError(`NVRTC is not there:\n${output}`, 'Run: npm run setup test-packages')
  const library = output.trim()
  // Under AddressSanitizer a library does not find those beside it by itself.
  const folders = [path.dirname(library), process.env.LD_LIBRARY_PATH].filter(Boolean)
  return { SAM3_NVRTC: library, LD_LIBRARY_PATH: folders.join(':') }
}

async function build(context, target) {
  const { tree, programs } = await configure(context, false)
  await must('cmake', ['--build', tree, '--target', target, '--parallel', '2'], FIX)
  return programs
}

/** Builds the tests on the stand-in. @returns the folder of the program */
export const buildStandin = (context) => build(context, STANDIN_TARGET)

/** Builds the engine that the Node tests on the stand-in load. */
export const buildStandinEngine = (context) => build(context, STANDIN_ENGINE)

/**
 * Builds the tests and runs them, with their output on this terminal.
 * @param {{ python: string, libtorch: string, doctest: string }} context of the set-up
 * @param {{ sanitize?: boolean, fuzz?: string, doctest?: string[] }} [options] `fuzz`: random cases for each reader, and
 *   everything on the stand-in; `doctest`: options of doctest itself
 * @returns {Promise<{ code: number, output: string }>}
 */
export async function nativeTests(context, { sanitize = false, fuzz, doctest = [] } = {}) {
  if (fuzz !== undefined && !/^[1-9]\d*$/.test(fuzz))
    throw new SetupError(`--fuzz ${fuzz} is no number of cases.`, 'Give a whole number, as --fuzz 100000.')
  const { tree, programs } = await configure(context, sanitize)
  // The stand-in is a tool of the tests: what sanitizers are to find is in the engine, which TARGET runs as well.
  const targets = [QUEUE_TARGET, TARGET, ...(sanitize ? [] : [STANDIN_TARGET])]
  await must('cmake', ['--build', tree, '--target', ...targets, '--parallel', '2'], FIX)
  const env = {
    // Threads that wait by spinning take the cores from each other when anything else runs.
    OMP_WAIT_POLICY: 'passive',
    ...(await goldenEnvironment(context)),
    ...shapesEnvironment(),
    ...(await nvrtcEnvironment(context)),
    ...(sanitize && SANITIZERS),
    ...(fuzz && { SAM3_FUZZ_CASES: fuzz }),
  }
  const runs = []
  for (const target of targets) {
    const chosen = target === STANDIN_TARGET && !fuzz ? [...SHORT, ...doctest] : doctest
    runs.push(await run(path.join(programs, target), chosen, { env, show: true }))
  }
  return { code: Math.max(...runs.map(({ code }) => code)), output: runs.map(({ output }) => output).join('\n') }
}

/** `node scripts/native-test.mjs` */
export async function main(context, options) {
  const { code } = await nativeTests(context, options)
  process.exitCode = code === 0 ? 0 : 1
}
