// Set-up: everything between a clone and a library that runs. `npm run setup`, or a part of it for the other scripts.
// Plain Node without dependencies, since its second step is what installs them.

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { must, root, run, SetupError } from './support/command.mjs'
import {
  acceptsTorch,
  basePython,
  bringRequirements,
  libtorchVersion,
  pipInstall,
  projectPython,
  projectTorch,
  TORCH_VERSION,
} from './support/python.mjs'
import { LINTERS, readRequirements } from './support/requirements.mjs'
import { isStamped, report, runSteps, stamp } from './support/steps.mjs'
import { bringChromium, bringCurl, bringDoctest, bringFfmpeg, bringIproute, bringRedis } from './support/test-tools.mjs'

const UP_TO_DATE = 'up to date'
/** SAM3_OFFLINE=1: nothing is installed; what is missing of the optional packages is named and left out. */
const OFFLINE = process.env.SAM3_OFFLINE === '1'
const TOKENIZER = 'test/fixtures/golden/model/tokenizer.json'
const readJson = (name) => JSON.parse(readFileSync(path.join(root, name), 'utf8'))

async function versionOf(program, args = ['--version']) {
  const result = await run(program, args)
  return result.code === 0 ? /(\d+)\.(\d+)(\.\d+)?/.exec(result.output)?.[0] : undefined
}

function atLeast(version, major, minor = 0) {
  const [a, b] = version.split('.').map(Number)
  return a > major || (a === major && b >= minor)
}

async function checkPrerequisites() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new SetupError(
      `This is ${process.platform} on ${process.arch}; sam3-node runs on Linux x64.`,
      'Use a Linux x64 machine, container or WSL2.',
    )
  }
  if (!atLeast(process.versions.node, 20)) {
    throw new SetupError(`Node ${process.versions.node} is too old.`, 'Install Node 20 or newer.')
  }
  const python = process.env.SAM3_PYTHON ?? (await basePython()).executable
  const cmake = await versionOf('cmake')
  if (!cmake || !atLeast(cmake, 3, 25)) {
    throw new SetupError(
      cmake ? `CMake ${cmake} is too old.` : 'CMake was not found.',
      'Install CMake 3.25 or newer (apt install cmake; where that is older: pip install cmake).',
    )
  }
  const compiler = process.env.CXX ?? 'c++'
  const probe = await run('sh', [
    '-c',
    `echo '#include <concepts>\n#include <span>\nint main() {}' | ${compiler} -std=c++20 -x c++ -fsyntax-only -`,
  ])
  if (probe.code !== 0) {
    throw new SetupError(
      `The C++ compiler (${compiler}) cannot compile C++20:\n${probe.output}`,
      'Install g++ 11 or clang 14, or newer (apt install build-essential), or name one: CXX=/path/to/g++.',
    )
  }
  if (!(await versionOf('ninja')) && !(await versionOf('make'))) {
    throw new SetupError('Neither ninja nor make was found.', 'Install one of them (apt install build-essential).')
  }
  return `Node ${process.versions.node}, CMake ${cmake}, Python ${await versionOf(python)}`
}

/** Whether node_modules holds what the lock file says, by the lock that npm itself leaves there. */
function nodePackagesMatch() {
  const hidden = path.join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(hidden)) return false
  const installed = JSON.parse(readFileSync(hidden, 'utf8')).packages
  const { packages } = readJson('package-lock.json')
  const manifest = readJson('package.json')
  const same = (kind) => JSON.stringify(packages[''][kind] ?? {}) === JSON.stringify(manifest[kind] ?? {})
  if (!same('dependencies') || !same('devDependencies')) return false
  return Object.entries(packages).every(
    ([name, { version, optional }]) =>
      name === '' || (installed[name] ? installed[name].version === version : optional),
  )
}

async function nodePackages() {
  if (nodePackagesMatch()) return UP_TO_DATE
  if (OFFLINE && existsSync(path.join(root, 'node_modules'))) return 'taken as they are (SAM3_OFFLINE)'
  // Not `npm ci`: it refuses a lock file in which a registry without the other platforms' binaries left those out.
  await must(
    'npm',
    ['install', '--no-save', '--no-audit', '--no-fund'],
    "Check the network and npm's configuration (`npm config list`); remove node_modules and run this again.",
  )
  return 'installed'
}

async function choosePython(context) {
  const { how, ...chosen } = await projectPython()
  Object.assign(context, chosen)
  return `${chosen.pythonVersion}, ${how}`
}

async function findLibtorch(context) {
  const torch = await projectTorch(context)
  const chosen = process.env.LIBTORCH ? path.resolve(process.env.LIBTORCH) : torch.folder
  const version = libtorchVersion(chosen)
  if (!version || !acceptsTorch(version)) {
    throw new SetupError(
      `LIBTORCH=${chosen} ${version ? `is LibTorch ${version}` : 'is no LibTorch folder (include/torch and lib are expected in it)'}; ${TORCH_VERSION} is needed.`,
      `Point LIBTORCH at an unpacked LibTorch ${TORCH_VERSION}, or unset it: the set-up then installs torch ${TORCH_VERSION} with pip.`,
    )
  }
  Object.assign(context, { torch: torch.version, libtorch: chosen, libtorchVersion: version })
  const how = process.env.LIBTORCH ? 'from LIBTORCH' : torch.how
  // For everything that is started after this: the library, the tests and the build find the same LibTorch.
  process.env.LIBTORCH = chosen
  return `${version}, ${how}`
}

async function nativeBuild({ libtorch, libtorchVersion: version }) {
  const inputs = {
    files: ['CMakeLists.txt', 'native', 'binding'],
    values: [libtorch, version, process.versions.modules],
  }
  if (isStamped('build/Release', ['sam3_loader.node', 'libsam3_engine.so', 'sam3_engine.json'], inputs))
    return UP_TO_DATE
  // A translation unit over LibTorch's headers takes about 1.5 GB.
  const jobs = Math.max(1, Math.min(os.availableParallelism(), Math.floor(os.freemem() / 1.5e9)))
  const fix = 'Read the first error above. If LibTorch changed, remove the folder build and run this again.'
  const cmakeJs = path.join(root, 'node_modules', '.bin', 'cmake-js')
  await must(cmakeJs, ['configure', '--config', 'Release', `--CDLIBTORCH=${libtorch}`], fix)
  await must(cmakeJs, ['build', '--config', 'Release', '--parallel', String(jobs), `--CDLIBTORCH=${libtorch}`], fix)
  stamp('build/Release', inputs)
  return `built with ${jobs} job${jobs > 1 ? 's' : ''}`
}

async function libBuild() {
  const inputs = { files: ['lib', 'server', 'tsup.config.ts', 'tsconfig.json', 'package.json'] }
  if (
    isStamped(
      'dist',
      ['index.js', 'index.cjs', 'index.d.ts', 'cli.js', 'server.js', 'server.cjs', 'server.d.ts', 'service.js'],
      inputs,
    )
  )
    return UP_TO_DATE
  await must(
    path.join(root, 'node_modules', '.bin', 'tsup'),
    [],
    'Read the first error above: the TypeScript of lib/ or server/ does not build.',
  )
  stamp('dist', inputs)
  return 'built'
}

/** The tokenizer is CLIP's, the same for every SAM 3; the repository keeps it among the fixtures. */
function tokenizerInto(folder) {
  mkdirSync(path.join(root, folder), { recursive: true })
  const target = path.join(root, folder, 'tokenizer.json')
  if (existsSync(path.join(root, `${TOKENIZER}.gz`)))
    writeFileSync(target, gunzipSync(readFileSync(path.join(root, `${TOKENIZER}.gz`))))
  else copyFileSync(path.join(root, TOKENIZER), target)
  return target
}

const EXPORT_FIX = 'Read the last lines above. `python -m scripts.export --help` lists what the export can do.'

async function exportProgram({ python, torch }) {
  const inputs = { files: ['scripts/export', `${TOKENIZER}.gz`], values: [torch] }
  const kinds = { sam3: ['program.pt', 'names.json', 'tokenizer.json'], 'sam3.1': ['program.pt', 'names.json'] }
  const stale = Object.keys(kinds).filter((kind) => !isStamped(`programs/${kind}`, kinds[kind], inputs))
  for (const kind of stale) {
    await must(python, ['-m', 'scripts.export', 'program', '--kind', kind, '--out', `programs/${kind}`], EXPORT_FIX)
    if (kind === 'sam3') tokenizerInto('programs/sam3')
    stamp(`programs/${kind}`, inputs)
  }
  return stale.length === 0 ? UP_TO_DATE : 'exported'
}

async function demoModel({ python, torch }) {
  const trained = 'scripts/tiny/weights'
  const kept = ['config.json', 'model.safetensors', 'tokenizer.json', 'words.json']
  const inputs = { files: ['scripts/export', trained], values: [torch] }
  if (isStamped('models/demo', [...kept, 'program.pt', 'names.json'], inputs)) return UP_TO_DATE
  const config = ['--config', `${trained}/config.json`]
  await must(python, ['-m', 'scripts.export', 'program', ...config, '--out', 'models/demo'], EXPORT_FIX)
  for (const name of kept) copyFileSync(path.join(root, trained, name), path.join(root, 'models/demo', name))
  stamp('models/demo', inputs)
  return 'made'
}

/** A step that brings Python packages of requirements-dev.txt: all, or those that are named. */
const pythonPackages = (names) => async (context) => {
  const missing = await bringRequirements(context, { names, offline: OFFLINE })
  if (missing.length === 0) return UP_TO_DATE
  return OFFLINE ? `without ${missing.join(', ')} (SAM3_OFFLINE)` : `installed ${missing.join(', ')}`
}

/**
 * The reference of the benchmark resizes through torchvision. It is kept apart from the tests' environment, where a
 * torchvision for CUDA beside a torch for the CPU would break every import of transformers. So are the packages of the
 * server that the service is compared with.
 */
async function benchPackages({ python, pythonVersion, torch }) {
  const folder = 'bench/.cache/python'
  const service = readRequirements('bench/requirements.txt', pythonVersion).map(
    ({ name, version }) => `${name}==${version}`,
  )
  const hasTorchvision = (await run(python, ['-c', 'import torchvision'])).code === 0
  const inputs = { files: ['bench/requirements.txt'], values: [torch, pythonVersion, hasTorchvision] }
  if (isStamped(folder, ['fastapi', 'uvicorn', ...(hasTorchvision ? [] : ['torchvision'])], inputs)) return UP_TO_DATE
  const target = ['--upgrade', '--target', path.join(root, folder)]
  // torch 2.N belongs to torchvision 0.(N + 15).
  const [, minor] = torch.split('.').map(Number)
  if (!hasTorchvision) await pipInstall(python, ['--no-deps', ...target, `torchvision==0.${minor + 15}.*`])
  await pipInstall(python, [...target, ...service])
  stamp(folder, inputs)
  return `installed ${[...(hasTorchvision ? [] : ['torchvision']), ...service].join(', ')}`
}

/** The sets of goldens: SAM 3's, and SAM 3.1's. What is packed in them, and what set-up makes besides. */
const FIXTURES = {
  'test/fixtures/golden': {
    packed: [
      'model/model.safetensors',
      'cases/image.safetensors',
      'cases/interactive.safetensors',
      'cases/tracker_video.safetensors',
      'cases/text_video.safetensors',
      'cases/text_video.json',
      'cases/heuristics.json',
      'model/tokenizer.json',
    ],
    made: ['model/sam3.pt'],
  },
  'test/fixtures/golden31': {
    packed: [
      'model/model.safetensors',
      'cases/modules.safetensors',
      'cases/tracker.safetensors',
      'cases/video.safetensors',
      'cases/video.json',
    ],
    made: ['model/sam3.1_multiplex.pt'],
  },
}

async function fixtures({ python }) {
  const sets = Object.entries(FIXTURES).map(([folder, { packed, made }]) => ({
    folder,
    outputs: [...packed, ...made],
    inputs: { files: ['scripts/make-fixtures.py', ...packed.map((name) => `${folder}/${name}.gz`)] },
  }))
  if (sets.every(({ folder, outputs, inputs }) => isStamped(folder, outputs, inputs))) return UP_TO_DATE
  await must(python, ['scripts/make-fixtures.py', 'unpack'], 'Restore test/fixtures from git and run this again.')
  for (const { folder, inputs } of sets) stamp(folder, inputs)
  return 'unpacked'
}

/** In the order in which they run. */
const STEPS = [
  { name: 'prerequisites', title: 'Prerequisites', run: checkPrerequisites },
  { name: 'packages', title: 'Node packages', needs: ['prerequisites'], run: nodePackages },
  { name: 'python', title: 'Python', needs: ['prerequisites'], run: choosePython },
  { name: 'libtorch', title: 'LibTorch', needs: ['python'], run: findLibtorch },
  { name: 'native', title: 'Native build', needs: ['packages', 'libtorch'], run: nativeBuild },
  { name: 'lib', title: 'Library build', needs: ['packages'], run: libBuild },
  { name: 'program', title: 'SAM 3 program', needs: ['libtorch'], run: exportProgram },
  { name: 'demo-model', title: 'Demo model', needs: ['libtorch'], run: demoModel },
  { name: 'lint-packages', title: 'Python packages of lint', needs: ['python'], run: pythonPackages(LINTERS) },
  { name: 'test-packages', title: 'Python packages of the tests', needs: ['libtorch'], run: pythonPackages() },
  { name: 'bench-packages', title: 'Python packages of the benchmark', needs: ['test-packages'], run: benchPackages },
  { name: 'fixtures', title: 'Test fixtures', needs: ['test-packages'], run: fixtures },
  {
    name: 'doctest',
    title: 'doctest, for the native tests',
    run: (context) => bringDoctest(context, { offline: OFFLINE }),
  },
  {
    name: 'ffmpeg',
    title: 'ffmpeg, for tests of video files',
    run: (context) => bringFfmpeg(context, { offline: OFFLINE }),
  },
  {
    name: 'iproute',
    title: 'ip, for tests in a network of their own',
    run: (context) => bringIproute(context, { offline: OFFLINE }),
  },
  {
    name: 'curl',
    title: 'curl, for the examples of the service',
    run: (context) => bringCurl(context, { offline: OFFLINE }),
  },
  {
    name: 'redis',
    title: 'redis-server, for tests of jobs',
    run: (context) => bringRedis(context, { offline: OFFLINE }),
  },
  {
    name: 'chromium',
    title: "Chromium, for tests of the service's page",
    run: (context) => bringChromium(context, { offline: OFFLINE }),
  },
]

/** What a user of the library needs. */
export const FOR_USE = ['native', 'lib', 'program', 'demo-model']
/** What the scripts of lint need. */
export const FOR_LINT = ['packages', 'lint-packages']
/** What clang-tidy over every file needs. */
export const FOR_TIDY = [...FOR_LINT, 'libtorch']
/** What the native tests need; they bring their own build. */
export const FOR_NATIVE_TESTS = ['packages', 'fixtures', 'program', 'doctest']
/** What the tests in Python and over the library need. */
export const FOR_TESTS = [...FOR_USE, 'test-packages', 'fixtures']

/**
 * Does what is missing of the wanted steps and of what they need.
 * @param {string[]} [wanted] names of steps
 * @returns {Promise<{ python?: string, torch?: string, libtorch?: string, libtorchVersion?: string, doctest?: string }>}
 *   what the steps found
 */
export async function setup(wanted = FOR_USE) {
  const context = {}
  await runSteps(STEPS, wanted, context)
  return context
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await setup(process.argv.length > 2 ? process.argv.slice(2) : FOR_USE).catch(report)
}
