// `npm run check:package`: what a user gets, proved as a user has it. Makes the prebuilds, packs, looks into the tarball,
// lets publint and attw judge it, and installs it into an empty folder where neither a compiler nor Python nor CMake is
// on the PATH. There it must load from ES modules, CommonJS and TypeScript, and run in code and on the command line.
// The tarball stays in build/package: what was checked is what is published.
//
//   node scripts/check-package.mjs [--max-glibc 2.28]

import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { prebuild } from './prebuild.mjs'
import { must, root, run, SetupError } from './support/command.mjs'
import { report } from './support/steps.mjs'

/** Bytes that neither the tarball nor what it unpacks to may exceed. */
const MOST = 30e6
const OUT = path.join(root, 'build', 'package')
const PICTURE = path.join(root, 'examples', 'scene.jpg')
/** What must not be needed. */
const TOOLS = ['cc', 'c++', 'gcc', 'g++', 'clang', 'make', 'ninja', 'cmake', 'python', 'python3', 'pip']
const FILES = [
  'CHANGELOG.md',
  'LICENSE',
  'NOTICE',
  'README.md',
  ...['cli.js', 'index.cjs', 'index.d.cts', 'index.d.ts', 'index.js'].map((name) => `dist/${name}`),
  ...['server.cjs', 'server.d.cts', 'server.d.ts', 'server.js', 'service.js'].map((name) => `dist/${name}`),
  'examples/clip.webm',
  'examples/scene.jpg',
  ...readdirSync(path.join(root, 'fonts')).map((name) => `fonts/${name}`),
  ...['config.json', 'model.safetensors', 'names.json', 'program.pt', 'tokenizer.json', 'words.json'].map(
    (name) => `models/demo/${name}`,
  ),
  'package.json',
  ...['libsam3_engine.so', 'sam3-node.glibc.node', 'sam3_engine.json'].map((name) => `prebuilds/linux-x64/${name}`),
  ...['names.json', 'program.pt', 'tokenizer.json'].map((name) => `programs/sam3/${name}`),
  ...['names.json', 'program.pt'].map((name) => `programs/sam3.1/${name}`),
  ...readdirSync(path.join(root, 'server/page/public')).map((name) => `server/page/public/${name}`),
]

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`
const fail = (message, fix) => {
  throw new SetupError(message, fix)
}

async function pack() {
  rmSync(OUT, { recursive: true, force: true })
  mkdirSync(OUT, { recursive: true })
  const { stdout } = await must('npm', ['pack', '--json', '--pack-destination', OUT], 'Read the error of npm above.')
  const [{ filename, size, unpackedSize, files }] = JSON.parse(stdout)
  const names = files.map((file) => file.path).sort()
  const missing = FILES.filter((name) => !names.includes(name))
  const extra = names.filter((name) => !FILES.includes(name))
  if (missing.length + extra.length > 0)
    fail(
      `The package lacks ${missing.join(', ') || 'nothing'} and has besides: ${extra.join(', ') || 'nothing'}.`,
      'Bring "files" of package.json and FILES of this script together.',
    )
  for (const script of ['preinstall', 'install', 'postinstall'])
    if (JSON.parse((await run('npm', ['pkg', 'get', `scripts.${script}`])).stdout || '{}').length > 0)
      fail(`package.json has the script ${script}.`, 'Packages are installed with scripts off: do without it.')
  if (unpackedSize > MOST || size > MOST)
    fail(
      `The package has ${megabytes(size)}, unpacked ${megabytes(unpackedSize)}; the limit is ${megabytes(MOST)}.`,
      'Find what grew with tar -tvf on the file in build/package.',
    )
  return { tarball: path.join(OUT, filename), size, unpackedSize, count: names.length }
}

/** The judges of package.json: entry points, types under every way of resolving. */
async function judge(tarball) {
  const bin = (name) => path.join(root, 'node_modules', '.bin', name)
  await must(bin('publint'), ['run', tarball, '--strict'], 'Do what publint says above.')
  // A path within a package is unknown to the resolution of Node 10, which TypeScript calls "node".
  const service = ['server', '--profile', 'node16']
  for (const entries of [
    ['--exclude-entrypoints', 'server'],
    ['--entrypoints', ...service],
  ])
    await must(bin('attw'), [tarball, ...entries], 'Do what attw says above.')
}

/** A PATH with Node and a shell on it and nothing else. */
function emptyPath(folder) {
  const bin = path.join(folder, 'bin')
  mkdirSync(bin)
  symlinkSync(process.execPath, path.join(bin, 'node'))
  symlinkSync('/bin/sh', path.join(bin, 'sh'))
  const found = TOOLS.filter((tool) => existsSync(path.join(bin, tool)))
  if (found.length > 0) fail(`${found.join(', ')} is on the PATH.`, 'Keep it away.')
  return bin
}

/** npm itself, by the file that Node runs, since it is not on the PATH. */
async function npmProgram() {
  const { stdout } = await must('npm', ['root', '--global'], 'Install npm.')
  const file = path.join(stdout.trim(), 'npm', 'bin', 'npm-cli.js')
  return existsSync(file) ? file : (process.env.npm_execpath ?? fail(`There is no ${file}.`, 'Install npm.'))
}

const BODY = `
  const model = await buildSam3ImageModel({ model: 'demo', device: 'cpu' })
  const { instances } = await model.segment(process.argv[2], { text: 'cup', maxInstances: 3 })
  await model.dispose()
  if (instances.length === 0) throw new Error('nothing was found')
  console.log(instances.length)`
const PROGRAMS = {
  'run.mjs': `import { buildSam3ImageModel } from 'sam3-node'\n${BODY}`,
  'run.cjs': `const { buildSam3ImageModel } = require('sam3-node')\nasync function main() {${BODY}\n}\nmain()`,
}
const TYPES = `
import { buildSam3ImageModel, type ImageModelOptions, Sam3Error } from 'sam3-node'
const options: ImageModelOptions = { model: 'demo', device: 'cpu' }
export async function areas(image: string): Promise<number[]> {
  const model = await buildSam3ImageModel(options)
  const { instances } = await model.segment(image, { text: 'cup' })
  return instances.map(({ mask }) => mask.area)
}
export const isOurs = (error: unknown): boolean => error instanceof Sam3Error
// @ts-expect-error a device that does not exist
export const wrong: ImageModelOptions = { device: 'tpu' }
`

async function checkTypes(folder) {
  for (const name of ['types.mts', 'types.cts']) writeFileSync(path.join(folder, name), TYPES)
  const tsc = path.join(root, 'node_modules', '.bin', 'tsc')
  const common = ['--noEmit', '--strict', '--target', 'es2022', '--types', 'node']
  const roots = ['--typeRoots', path.join(root, 'node_modules', '@types')]
  const ways = [
    ['node16', 'node16', ['types.mts', 'types.cts']],
    ['esnext', 'bundler', ['types.mts']],
  ]
  for (const [module, resolution, files] of ways) {
    const args = [...common, ...roots, '--module', module, '--moduleResolution', resolution, ...files]
    await must(tsc, args, `The types do not resolve under moduleResolution ${resolution}.`, { cwd: folder })
  }
}

async function install(tarball, libtorch) {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'sam3-package-'))
  const folder = path.join(scratch, 'app')
  mkdirSync(folder)
  writeFileSync(path.join(folder, 'package.json'), '{ "name": "app", "private": true }\n')
  const npm = await npmProgram()
  const bare = {
    PATH: emptyPath(scratch),
    XDG_CACHE_HOME: path.join(scratch, 'cache'),
    ...Object.fromEntries(['LIBTORCH', 'VIRTUAL_ENV', 'CONDA_PREFIX', 'PYTHONHOME'].map((name) => [name, undefined])),
  }
  const begun = performance.now()
  const node = (args, more = {}) =>
    must(process.execPath, args, 'The installed package does not work: read the error above.', {
      cwd: folder,
      env: { ...bare, ...more },
    })
  try {
    await node([npm, 'install', '--no-audit', '--no-fund', tarball])
    const took = ((performance.now() - begun) / 1000).toFixed(1)
    console.log(
      `installed in ${took} s, ${readdirSync(path.join(folder, 'node_modules')).length} folders in node_modules`,
    )
    for (const [name, text] of Object.entries(PROGRAMS)) writeFileSync(path.join(folder, name), text)

    const cli = path.join(folder, 'node_modules', '.bin', 'sam3-node')
    const without = await run(process.execPath, ['run.mjs', PICTURE], { cwd: folder, env: bare })
    if (
      without.code === 0 ||
      !/ERR_LIBTORCH_NOT_FOUND/.test(without.output) ||
      !/sam3-node libtorch install/.test(without.output)
    )
      fail(`Without LibTorch it says:\n${without.output}`, 'It must name the command that installs it.')
    console.log('without LibTorch: an error that names the command')
    await node([cli, 'libtorch', 'install', '--folder', libtorch])
    for (const name of Object.keys(PROGRAMS))
      console.log(`${name}: ${(await node([name, PICTURE])).stdout.trim()} instances`)
    await node([cli, 'segment', PICTURE, '--text', 'cup', '--model', 'demo', '--out', 'found'])
    if (readdirSync(path.join(folder, 'found')).length === 0) fail('segment wrote nothing.', 'Run it by hand.')
    console.log(`sam3-node segment: ${readdirSync(path.join(folder, 'found')).join(', ')}`)
    if (/^ {2}track\b/m.test((await node([cli, '--help'])).stdout)) {
      await node([
        cli,
        'track',
        path.join(root, 'examples', 'clip'),
        '--text',
        'dog',
        '--model',
        'demo',
        '--out',
        'tracked',
      ])
      if (readdirSync(path.join(folder, 'tracked')).length === 0) fail('track wrote nothing.', 'Run it by hand.')
      console.log(`sam3-node track: ${readdirSync(path.join(folder, 'tracked')).join(', ')}`)
    }
    await checkTypes(folder)
    console.log('types resolve under node16 (both module systems) and bundler')
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

try {
  const { values } = parseArgs({ options: { 'max-glibc': { type: 'string' } } })
  const { libtorch } = await prebuild({ maxGlibc: values['max-glibc'] })
  const { tarball, size, unpackedSize, count } = await pack()
  console.log(
    `${path.relative(root, tarball)}: ${megabytes(size)}, unpacked ${megabytes(unpackedSize)}, ${count} files`,
  )
  await judge(tarball)
  console.log('publint and attw: clean')
  await install(tarball, libtorch)
  console.log('check:package passed')
} catch (error) {
  report(error)
}
