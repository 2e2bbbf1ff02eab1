// What `npm run bench` does once everything is set up: the two sides in turns, measure by measure, and a report.

import { mkdirSync } from 'node:fs'
import path from 'node:path'
import sharp from 'sharp'
import { must, root } from '../scripts/support/command.mjs'
import { isStamped, stamp } from '../scripts/support/steps.mjs'
import { describeMachine } from './machine.mjs'
import { writeReport } from './report.mjs'
import { SUITES } from './suites.mjs'
import { Worker } from './worker.mjs'

/** A folder with weights of the true configuration of a kind of model; made on the first run. */
async function randomWeights(python, dtype, kind = 'sam3') {
  const folder = `bench/.cache/${kind}-${dtype}`
  const inputs = { files: ['scripts/export/random_weights.py'], values: [dtype] }
  if (!isStamped(folder, ['config.json', 'model.safetensors', 'tokenizer.json'], inputs)) {
    console.log(`Making random weights of the true configuration in ${folder} ...`)
    const args = [
      '-m',
      'scripts.export',
      'random',
      '--kind',
      kind,
      '--tokenizer',
      'programs/sam3/tokenizer.json',
      '--dtype',
      dtype,
      '--out',
      folder,
    ]
    await must(python, args, 'Read the last lines above; the weights take about 2 GB of disk in bfloat16.')
    stamp(folder, inputs)
  }
  return folder
}

/** The example photograph at the size of an ordinary picture. */
async function enlargedPhoto() {
  mkdirSync(path.join(root, 'bench/.cache'), { recursive: true })
  const file = 'bench/.cache/photo.jpg'
  await sharp(path.join(root, 'examples/coffee.jpg'))
    .resize(1200, 800)
    .jpeg({ quality: 90 })
    .toFile(path.join(root, file))
  return file
}

/**
 * @param {{ python: string, libtorchVersion: string }} context of the set-up
 * @param {object} options as the command line gave them
 */
export async function main({ python, libtorchVersion }, options) {
  const suite = SUITES[options.suite]
  const machine = await describeMachine(python, options)
  const env = { OMP_NUM_THREADS: String(options.threads) }
  const sides = {
    ours: () => new Worker(process.execPath, ['--expose-gc', suite.ours], env),
    reference: () => new Worker(python, ['-m', suite.reference], { ...env, ...suite.referenceEnv }),
  }
  const models = options.model?.split(',') ?? []
  for (const kind of (suite.kinds ?? ['sam3']).slice(models.length))
    models.push(await randomWeights(python, options.dtype, kind))
  const settings = {
    ...options,
    model: models[0],
    models,
    image: options.image ?? (await enlargedPhoto()),
    sides,
    pair: {},
  }
  const rows = []
  const failures = []
  let files = []
  for (const name of options.only) {
    console.log(`${name} ...`)
    try {
      const measured = await suite.measures[name](settings)
      for (const row of measured) console.log(`  ${row.name}: ${row.summary}`)
      rows.push(...measured)
    } catch (error) {
      // One measure that cannot run (no memory, say) must not cost the others; the report names it.
      console.error(`  failed: ${error.message}`)
      failures.push({ name, message: error.message })
    }
    // After every measure: a run takes many minutes, and what was measured should outlive an interruption.
    files = writeReport({ machine, options, libtorchVersion, rows, failures })
  }
  for (const worker of Object.values(settings.pair)) await worker.close()
  console.log(`\nWritten: ${files.join(', ')}`)
  if (failures.length) process.exitCode = 1
}
