// The report of a benchmark: a Markdown table for people and the same in JSON.

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { root } from '../scripts/support/command.mjs'
import { firstCounted } from './video/measures.mjs'

/** Two digits behind the point, or as many as a small number needs to say anything. */
const number = (value) => {
  if (value === undefined) return ''
  const size = Math.abs(value)
  if (size >= 100) return value.toFixed(0)
  return size > 0 && size < 1 ? value.toPrecision(2) : value.toFixed(2)
}

/** What one request is, and how it was timed. */
function describe({ suite, instances, repeats, frames }) {
  if (suite === 'serve')
    return [
      'from a request with a JPEG (320 x 240, 640 x 480 and 1280 x 960 in turns) and texts to JSON with COCO run lengths; the reference is FastAPI around transformers, one image at a time, a call of the model for each text. Requests come over loopback from a process of its own, at a fixed rate whether or not earlier ones were answered; times count from when a request was due.',
      `Medians of ${repeats} rounds in which the two sides take turns.`,
    ]
  if (suite === 'video-3.1')
    return [
      'from the bytes of a JPEG frame to binary masks of all objects at its own size; "ours" is SAM 3.1, "reference" SAM 3, both in this library. Thresholds are such that random weights find and keep that many objects.',
      `The two sides take turns frame by frame in a clip of ${frames} frames; medians of frame ${firstCounted(frames) + 1} and later, whose memory holds ${firstCounted(frames)} frames or more.`,
    ]
  if (suite === 'video')
    return [
      'from the bytes of a JPEG frame to binary masks of all objects at its own size (the reference has its frames read and resized before).',
      `The two sides take turns frame by frame in a clip of ${frames} frames; medians of frame ${firstCounted(frames) + 1} and later, whose memory holds ${firstCounted(frames)} frames or more.`,
    ]
  return [
    `from the bytes of a JPEG to binary masks of the ${instances} best instances of each text at its own size.`,
    `Medians of ${repeats} rounds in which the two sides take turns, after a warm-up.`,
  ]
}

function markdown({ machine, options, libtorchVersion, rows, failures, date }) {
  const where = machine.gpu ? `${machine.gpu} (CUDA ${machine.cuda})` : `${machine.processor}, ${machine.cores} cores`
  const [request, timing] = describe(options)
  const versions = `sam3-node on LibTorch ${libtorchVersion} with Node ${machine.node}`
  const reference = `transformers ${machine.transformers} on torch ${machine.torch}`
  const lines = [
    `# ${where}, ${options.dtype}, ${date}`,
    '',
    options.suite === 'video-3.1' ? `${versions}.` : `${versions}, against ${reference}.`,
    `Same machine, same ${options.model ? `weights (${options.model})` : 'random weights of the true configuration'}, same dtype, ${options.threads} threads, ${request}`,
    timing,
    ...(options.shared ? ['The machine was shared with other work: the ratios say more than the numbers.'] : []),
    '',
    '| measure | ours | reference | unit | ratio | wanted | |',
    '|---|---:|---:|---|---:|---|---|',
    ...rows.map(
      (r) =>
        `| ${r.name} | ${number(r.ours)} | ${number(r.reference)} | ${r.unit} | ${r.ratio === undefined ? '' : r.ratio.toFixed(2)} | ${r.goal ?? ''} | ${r.note ?? ''} |`,
    ),
    '',
    ...failures.map(({ name, message }) => `Not measured: ${name} (${message.split('\n')[0]}).`),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

/** Writes both files and returns their names. */
export function writeReport({ machine, options, libtorchVersion, rows, failures }) {
  const date = new Date().toISOString().slice(0, 10)
  const slug = (options.name ?? machine.gpu ?? `${machine.processor}-${machine.cores}-cores`)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
  const suite = options.suite === 'image' ? '' : `${options.suite}-`
  const base = path.join(options.out, `${slug}-${suite}${options.dtype}-${date}`)
  mkdirSync(path.resolve(root, options.out), { recursive: true })
  const { out: _, ...told } = options // where the report lies says nothing to its reader
  const data = { date, machine, options: told, libtorchVersion, rows, failures }
  writeFileSync(path.resolve(root, `${base}.json`), `${JSON.stringify(data, null, 2)}\n`)
  writeFileSync(path.resolve(root, `${base}.md`), markdown({ ...data }))
  return [`${base}.md`, `${base}.json`]
}
