// What `npm run demo` does once everything is set up: a text in a photograph, and the same text followed through a clip.

import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import * as library from '../../dist/index.js'
import { root } from './command.mjs'
import { trackDemo } from './demo-video.mjs'

const DEMO_MODEL = path.join(root, 'models/demo')
const RANDOM_WEIGHTS = `The weights of the demo model are random until a trained one comes with the project: it shows that every part
works, not what SAM 3 finds. For Meta's weights ask for access to facebook/sam3 on Hugging Face, then:

  HF_TOKEN=... node dist/cli.js pull
  npm run demo -- --model facebook/sam3`

function table(instances) {
  const rows = instances.map(({ score, box, mask }, index) => [
    String(index + 1),
    score.toFixed(3),
    box.map((value) => value.toFixed(0)).join(', '),
    `${mask.area} px`,
  ])
  const all = [['', 'score', 'box (x0, y0, x1, y1)', 'area'], ...rows]
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)))
  return all
    .map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column])).join('   ')}`.trimEnd())
    .join('\n')
}

/**
 * @param {object} _context of the set-up
 * @param {{ text: string, image: string, model?: string, out: string, video?: string, frames?: string }} values
 */
export async function main(_context, values) {
  const { buildSam3VideoModel, overlay, toCocoJson } = library

  const name = values.model ?? DEMO_MODEL
  const model = await buildSam3VideoModel({ model: name })
  console.log(`Model ${path.relative(root, name)} on ${model.info.device} in ${model.info.dtype}`)
  const begun = performance.now()
  const result = await model.segment(values.image, { text: values.text, maxInstances: 8 })
  const { instances } = result
  const took = `${Math.round(performance.now() - begun)} ms`
  console.log(`"${values.text}" in ${path.relative(root, values.image)}: ${instances.length} found in ${took}\n`)
  console.log(table(instances))

  await mkdir(values.out, { recursive: true })
  const masksOfBefore = (await readdir(values.out)).filter((name) => /^mask-\d+\.png$/.test(name))
  for (const name of masksOfBefore) await rm(path.join(values.out, name))
  const write = (name, data) => writeFile(path.join(values.out, name), data)
  const fileName = path.basename(values.image)
  await write('overlay.png', await overlay(values.image, instances))
  await write('coco.json', `${JSON.stringify(toCocoJson([{ fileName, ...result }]), null, 2)}\n`)
  for (const [index, { mask }] of instances.entries()) await write(`mask-${index + 1}.png`, await mask.toPng())
  const out = path.relative(root, values.out)
  console.log(`\nWritten: ${out}/overlay.png, ${out}/coco.json, and a mask PNG per instance.\n`)

  // A frame of the true size takes seconds on a CPU: a few are enough to see that it works.
  const fewFrames = name !== DEMO_MODEL && model.info.device === 'cpu'
  const frames = Number(values.frames ?? (fewFrames ? 8 : 60))
  const tracked = await trackDemo(library, model, { ...values, frames }).finally(() => model.dispose())
  console.log(`\nWritten: ${tracked.map((file) => path.relative(root, file)).join(', ')}.`)
  if (name === DEMO_MODEL) console.log(`\n${RANDOM_WEIGHTS}`)
}
