// `npm run bench`: our path and the Python reference side by side, on the same machine, weights, dtype and threads.

import os from 'node:os'
import { parseArgs } from 'node:util'
import { afterSetup } from '../scripts/support/after-setup.mjs'
import { FOR_NATIVE_TESTS } from '../scripts/setup.mjs'
import { SetupError } from '../scripts/support/command.mjs'
import { report } from '../scripts/support/steps.mjs'
import { MEASURES } from './measures.mjs'
import { SERVE_MEASURES } from './serve/measures.mjs'
import { SUITES } from './suites.mjs'
import { MINIMUM_FRAMES, VIDEO_MEASURES } from './video/measures.mjs'

const USAGE = `Usage: npm run bench -- [image|video|serve] [options]

  --device cpu|cuda        where both sides run (cpu)
  --dtype NAME             bfloat16, float16 or float32 (bfloat16)
  --threads N              threads inside the network, both sides (all cores)
  --repeats N              timed rounds of each measure; medians are reported (3)
  --quick                  one round, fewer calls
  --only NAME[,NAME]       image: ${Object.keys(MEASURES).join(', ')}
                           video: ${Object.keys(VIDEO_MEASURES).join(', ')} (all)
                           serve: ${Object.keys(SERVE_MEASURES).join(', ')} (all)
  --model-kind 3.1         video: SAM 3.1 beside SAM 3, both ours, a text with 1, 4, 16 and 64 objects
  --model DIR[,DIR]        weights to use; without it random ones of the true configuration are made once; serve: the demo model;
                           --model-kind: those of SAM 3, of SAM 3.1
  --image FILE             photograph (the example, enlarged to 1200 x 800)
  --instances N            image: masks made for each text, the best ones (10)
  --objects N[,N]          video: objects followed (1,4,16; on a GPU 1,16,64)
  --frames N               video: frames of the clip; those with a full memory are timed, from the eighth on, or the last two (9)
  --out DIR                where the report goes (bench/results)
  --shared                 says in the report that others used the machine at the same time
  --name NAME              first part of the report's file name (processor or GPU)

The two sides take turns within each measure. Nothing else should run on the machine.

npm run bench -- limits [--bytes-per-second N --flops N --batch N --texts N]
                           what a GPU needs for the program, predicted from two numbers of the card (an H100's)
npm run bench -- masks     a mask from the network's logits to run lengths, beside pycocotools' encode
npm run bench -- pipeline [--images N --threads N --scale N]
                           how near the engine comes to the limit of a GPU that is simulated, one second of which takes
                           N of ours (64 images of 4K, 8 host threads, 16)`

/** What measures no reference: the set-up it needs, its module. */
const TOOLS = {
  limits: [['libtorch'], () => import('./limits.mjs')],
  masks: [['native', 'test-packages'], () => import('./masks.mjs')],
  pipeline: [FOR_NATIVE_TESTS, () => import('./pipeline.mjs')],
}

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
      'model-kind': string,
      image: string,
      instances: { ...string, default: '10' },
      objects: string,
      frames: { ...string, default: '9' },
      out: { ...string, default: 'bench/results' },
      name: string,
      shared: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    process.exit(0)
  }
  const kind = values['model-kind']
  const suite = (positionals[0] ?? 'image') + (kind ? `-${kind}` : '')
  if (!Object.hasOwn(SUITES, suite) || positionals.length > 1) throw new SetupError('That is no suite.', USAGE)
  const { measures, model } = SUITES[suite]
  const only = values.only?.split(',') ?? Object.keys(measures)
  const unknown = only.filter((name) => !Object.hasOwn(measures, name))
  if (unknown.length) throw new SetupError(`No measure is called ${unknown.join(', ')}.`, USAGE)
  if (!(Number(values.frames) >= MINIMUM_FRAMES))
    throw new SetupError(`--frames ${values.frames} is too few.`, `Give ${MINIMUM_FRAMES} or more.`)
  const usual = values.device === 'cpu' ? '1,4,16' : '1,16,64'
  const objects = values.objects ?? (kind ? '1,4,16,64' : usual)
  return {
    ...values,
    model: values.model ?? model,
    suite,
    only,
    objects: objects.split(',').map(Number),
    frames: Number(values.frames),
    threads: Number(values.threads),
    instances: Number(values.instances),
    repeats: Number(values.repeats ?? (values.quick ? 1 : 3)),
  }
}

async function compare() {
  try {
    const options = readOptions()
    const steps = ['native', 'lib', 'demo-model', SUITES[options.suite].setup]
    await afterSetup(steps, () => import('./compare.mjs'), options)
  } catch (error) {
    report(error)
  }
}

const [name, ...more] = process.argv.slice(2)
await (Object.hasOwn(TOOLS, name ?? '') ? afterSetup(...TOOLS[name], more) : compare())
