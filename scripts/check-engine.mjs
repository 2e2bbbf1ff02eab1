// Shows that a built engine serves every flavour of its LibTorch: it must ask for no CUDA library of its own and for no
// folder, and, with --run, give the same answer with each LibTorch that is named.
//
//   node scripts/check-engine.mjs [--folder build/Release] [--max-glibc 2.28] [--run LIBTORCH]... [--json]
//
// --folder     where libsam3_engine.so lies (also: prebuilds/linux-x64)
// --max-glibc  fail if the engine or the loader asks for a newer glibc
// --run        a LibTorch folder to segment the example photograph with, on the CPU; several are compared

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { must, root, SetupError } from './support/command.mjs'
import { inspectLibrary } from './support/elf.mjs'
import { report } from './support/steps.mjs'

/** Names of NVIDIA's libraries, and of LibTorch's own parts that are linked against them. */
const CUDA = /cuda|cudnn|cublas|cufft|curand|cusolver|cusparse|nvrtc|nccl|nvjitlink|nvtx|nvidia|nvshmem|cupti/i

/** Segments the example with the demo model; prints what came out and which libraries the process holds. */
const PROGRAM = `
import { readFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { buildSam3ImageModel } from './dist/index.js'
const model = await buildSam3ImageModel({ model: 'models/demo', device: 'cpu', dtype: 'float32' })
const { instances } = await model.segment('examples/scene.jpg', { text: 'cup' })
const hash = createHash('sha256')
for (const { mask } of instances) hash.update(JSON.stringify(mask.toRle()))
await model.dispose()
const mapped = new Set(readFileSync('/proc/self/maps', 'utf8').match(/[^/ ]+\\.so[.0-9]*$/gm))
console.log(JSON.stringify({
  scores: instances.map(({ score }) => score), areas: instances.map(({ mask }) => mask.area), masks: hash.digest('hex'),
  cuda: [...mapped].filter((name) => /cuda|cublas|cudnn/.test(name)).sort(),
}))`

async function segmentWith(libtorch, folder) {
  // node-gyp-build's own variables: the folder to look for the addon in, and where in it.
  const env = { LIBTORCH: libtorch, SAM3_NODE_PREBUILD: path.dirname(path.dirname(folder)) }
  if (folder.includes('prebuilds')) env.PREBUILDS_ONLY = '1'
  const { stdout } = await must(
    process.execPath,
    ['--input-type=module', '-e', PROGRAM],
    'The engine does not run with this LibTorch: read the error above.',
    { env },
  )
  return JSON.parse(stdout.trim().split('\n').at(-1))
}

/** Two builds of LibTorch may add in another order; the answer must stay the same for every purpose. */
function compare(one, other) {
  const worst = Math.max(0, ...one.scores.map((score, index) => Math.abs(score - (other.scores[index] ?? Infinity))))
  const areas = Math.max(0, ...one.areas.map((area, index) => Math.abs(area - (other.areas[index] ?? Infinity)) / area))
  return { instances: other.scores.length, worstScore: worst, worstArea: areas, sameMasks: one.masks === other.masks }
}

/**
 * @param {{ folder?: string, maxGlibc?: string, libtorch?: string[] }} [options]
 * @throws {SetupError} with what is wrong
 */
export async function checkEngine({ folder = 'build/Release', maxGlibc, libtorch = [] } = {}) {
  const absolute = path.resolve(root, folder)
  const facts = {}
  for (const name of ['libsam3_engine.so', loaderName(absolute)]) {
    const file = path.join(absolute, name)
    const found = await inspectLibrary(file)
    const foreign = found.needed.filter((needed) => CUDA.test(needed))
    if (foreign.length > 0)
      throw new SetupError(`${name} needs ${foreign.join(', ')}.`, 'Link torch_cpu and c10 only (CMakeLists.txt).')
    if (found.searchPath.length > 0)
      throw new SetupError(`${name} has a search path: ${found.searchPath.join(', ')}.`, 'Build without RPATH.')
    const asked = found.requires.GLIBC ?? '0'
    if (maxGlibc && asked.localeCompare(maxGlibc, 'en', { numeric: true }) > 0)
      throw new SetupError(`${name} needs glibc ${asked}, newer than ${maxGlibc}.`, 'Build it in an older image.')
    const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
    facts[name] = { sha256, needed: found.needed, requires: found.requires }
  }
  const runs = []
  for (const one of libtorch) runs.push({ libtorch: one, ...(await segmentWith(path.resolve(one), absolute)) })
  const differences = runs.slice(1).map((other) => ({ libtorch: other.libtorch, ...compare(runs[0], other) }))
  for (const { libtorch: other, worstScore, worstArea } of differences) {
    if (worstScore > 1e-4 || worstArea > 0.01)
      throw new SetupError(
        `With ${other} scores differ by ${worstScore} and areas by ${worstArea} from those with ${runs[0].libtorch}.`,
        'Find out which of the two is wrong with npm test (LIBTORCH names the one to test with).',
      )
  }
  return { facts, runs, differences }
}

function loaderName(folder) {
  return folder.includes('prebuilds') ? 'sam3-node.glibc.node' : 'sam3_loader.node'
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const { values } = parseArgs({
      options: {
        folder: { type: 'string' },
        'max-glibc': { type: 'string' },
        run: { type: 'string', multiple: true },
        json: { type: 'boolean' },
      },
    })
    const found = await checkEngine({ folder: values.folder, maxGlibc: values['max-glibc'], libtorch: values.run })
    if (values.json) console.log(JSON.stringify(found, null, 2))
    else {
      for (const [name, { needed, requires, sha256 }] of Object.entries(found.facts)) {
        console.log(`${name} (sha256 ${sha256.slice(0, 16)}…): no CUDA library, no search path`)
        console.log(`  needs ${needed.join(', ')}`)
        console.log(`  glibc ${requires.GLIBC ?? '-'}, libstdc++ GLIBCXX_${requires.GLIBCXX ?? '-'}`)
      }
      for (const { libtorch, cuda, scores } of found.runs)
        console.log(`runs with ${libtorch}: ${scores.length} instances; CUDA libraries: ${cuda.join(', ') || 'none'}`)
      for (const { libtorch, worstScore, sameMasks } of found.differences)
        console.log(
          `  ${libtorch}: scores within ${worstScore}, masks ${sameMasks ? 'bit-equal' : 'equal but for rims'}`,
        )
    }
  } catch (error) {
    report(error)
  }
}
