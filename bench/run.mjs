// `npm run bench`: our path and the Python reference side by side, on the same machine, weights, dtype and threads.

import { mkdirSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { setup } from '../scripts/setup.mjs'
import { must, root } from '../scripts/support/command.mjs'
import { isStamped, report, stamp } from '../scripts/support/steps.mjs'
import { describeMachine } from './machine.mjs'
import { MEASURES } from './measures.mjs'
import { writeReport } from './report.mjs'
import { MINIMUM_FRAMES, VIDEO_MEASURES } from './video/measures.mjs'
import { Worker } from './worker.mjs'

/**
 * What can be measured: the processes of the two sides, what has to be set up for them, and the measures. Only the image
 * reference may see the torchvision that is kept for it: where that does not fit torch, transformers' video models fail
 * to import because of it.
 */
const SUITES = {
  image: {
    ours: 'bench/ours.mjs',
    reference: 'bench/reference.py',
    setup: 'bench-packages',
    referenceEnv: { PYTHONPATH: path.join(root, 'bench/.cache/python') },
    measures: MEASURES,
  },
  video: {
    ours: 'bench/video/ours.mjs',
    reference: 'bench/video/reference.py',
    setup: 'test-packages',
    referenceEnv: {},
    measures: VIDEO_MEASURES,
  },
}

const USAGE = `Usage: npm run bench -- [image|video] [options]

  --device cpu|cuda        where both sides run (cpu)
  --dtype NAME             bfloat16, float16 or float32 (bfloat16)
  --threads N              threads inside the network, both sides (all cores)
  --repeats N              timed rounds of each measure; medians are reported (3)
  --quick                  one round, fewer calls
  --only NAME[,NAME]       image: ${Object.keys(MEASURES).join(', ')}
                           video: ${Object.keys(VIDEO_MEASURES).join(', ')} (all)
  --model DIR              weights to use; without it random ones of the true configuration are made once
  --image FILE             photograph (the example, enlarged to 1200 x 800)
  --instances N            image: masks made for each text, the best ones (10)
  --objects N[,N]          video: objects followed (1,4,16; on a GPU 1,16,64)
  --frames N               video: frames of the clip; those with a full memory are timed, from the eighth on, or the last two (9)
  --out DIR                where the report goes (bench/results)
  --name NAME              first part of the report's file name (processor or GPU)

The two sides take turns within each measure. Nothing else should run on the machine.`

function readOptions() {
  const string = { type: 'string' }
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      device: { ...string, default: 'cpu' },
      dtype: { ...string, default: 'bfloat16' },
      threads: { ...string, default: String(os.availableParallelism()) },
      repeats: string,
      quick: { type: 'boolean', default: false },
      only: string,
      model: string,
      image: string,
      instances: { ...string, default: '10' },
      objects: string,
      frames: { ...string, default: '9' },
      out: { ...string, default: 'bench/results' },
      name: string,
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    process.exit(0)
  }
  const suite = positionals[0] ?? 'image'
  if (!Object.hasOwn(SUITES, suite) || positionals.length > 1) throw new Error(USAGE)
  const { measures } = SUITES[suite]
  const only = values.only?.split(',') ?? Object.keys(measures)
  const unknown = only.filter((name) => !Object.hasOwn(measures, name))
  if (unknown.length) throw new Error(`no measure is called ${unknown.join(', ')}\n\n${USAGE}`)
  if (!(Number(values.frames) >= MINIMUM_FRAMES)) throw new Error(`--frames must be ${MINIMUM_FRAMES} or more`)
  const objects = values.objects ?? (values.device === 'cpu' ? '1,4,16' : '1,16,64')
  return {
    ...values,
    suite,
    only,
    objects: objects.split(',').map(Number),
    frames: Number(values.frames),
    threads: Number(values.threads),
    instances: Number(values.instances),
    repeats: Number(values.repeats ?? (values.quick ? 1 : 3)),
  }
}

/** A folder with weights of the true configuration that both sides load; made on the first run. */
async function randomWeights(python, dtype) {
  const folder = `bench/.cache/sam3-${dtype}`
  const inputs = { files: ['scripts/export/random_weights.py'], values: [dtype] }
  if (!isStamped(folder, ['config.json', 'model.safetensors', 'tokenizer.json'], inputs)) {
    console.log(`Making random weights of the true configuration in ${folder} ...`)
    const args = [
      '-m',
      'scripts.export',
      'random',
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
  const { default: sharp } = await import('sharp')
  mkdirSync(path.join(root, 'bench/.cache'), { recursive: true })
  const file = 'bench/.cache/photo.jpg'
  await sharp(path.join(root, 'examples/coffee.jpg'))
    .resize(1200, 800)
    .jpeg({ quality: 90 })
    .toFile(path.join(root, file))
  return file
}

async function main() {
  const options = readOptions()
  const suite = SUITES[options.suite]
  const { python, libtorchVersion } = await setup(['native', 'lib', 'demo-model', suite.setup])
  const machine = await describeMachine(python, options)
  const env = { OMP_NUM_THREADS: String(options.threads) }
  const sides = {
    ours: () => new Worker(process.execPath, ['--expose-gc', suite.ours], env),
    reference: () => new Worker(python, [suite.reference], { ...env, ...suite.referenceEnv }),
  }
  const settings = {
    ...options,
    model: options.model ?? (await randomWeights(python, options.dtype)),
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

await main().catch(report)
