// The report of scripts/gpu-check: what ran and what came of it, the machine as `doctor` sees it, and the benchmark.
//
//   node scripts/support/gpu-report.mjs REPORT SCRATCH GPU TORCH CUDA
//
// Reads SCRATCH/steps.tsv, SCRATCH/doctor.json and SCRATCH/bench; writes REPORT.json and REPORT.md.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const [report, scratch, gpu, torch, cuda] = process.argv.slice(2)

const steps = readFileSync(path.join(scratch, 'steps.tsv'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => line.split('\t'))
  .map(([name, outcome, seconds]) => ({ name, outcome, seconds: Number(seconds) }))

function readMachine() {
  try {
    const {
      node,
      system,
      cpu,
      engine,
      libtorch,
      opened,
      gpu: gpus,
    } = JSON.parse(readFileSync(path.join(scratch, 'doctor.json'), 'utf8'))
    return { node, system, cpu, engine, libtorch, opened, gpu: gpus }
  } catch {
    return null // the step that runs the engine says why
  }
}

/** The reports of the benchmarks that ran, images first: their suite, the Markdown and the data. */
function readBenches() {
  const folder = path.join(scratch, 'bench')
  const names = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.json')) : []
  return names
    .map((name) => {
      const base = path.join(folder, name.slice(0, -'.json'.length))
      const data = JSON.parse(readFileSync(`${base}.json`, 'utf8'))
      return { suite: data.options.suite, markdown: readFileSync(`${base}.md`, 'utf8'), data }
    })
    .sort((a, b) => a.suite.localeCompare(b.suite))
}

const machine = readMachine()
const benches = readBenches()
const date = report.slice(-10)
const driver = machine?.gpu.driver ?? null
const seconds = steps.reduce((sum, step) => sum + step.seconds, 0)
const facts = { gpu, torch, cuda: cuda === 'None' ? null : cuda, driver, date, seconds }
writeFileSync(
  `${report}.json`,
  `${JSON.stringify({ ...facts, machine, steps, bench: Object.fromEntries(benches.map(({ suite, data }) => [suite, data])) }, null, 2)}\n`,
)

const devices = machine?.gpu.devices ?? []
const lines = [
  `# GPU check: ${gpu}, ${date}`,
  '',
  `torch ${torch}, CUDA ${facts.cuda ?? 'none'}, driver ${driver ?? 'none'}, Node ${process.versions.node}, ${seconds} s.`,
  ...devices.map((one) => `${one.name}: ${(one.memory / 1e9).toFixed(1)} GB, compute capability ${one.capability}.`),
  '',
  '| step | outcome | time |',
  '|---|---|---:|',
  ...steps.map(({ name, outcome, seconds: took }) => {
    const shown = /^passed/.test(outcome) ? outcome : `**${outcome}**`
    return `| ${name} | ${shown} | ${took} s |`
  }),
  '',
]
const titled = benches.map(({ suite, markdown }) => markdown.replace(/^# .*/, `## Benchmark of ${suite}s`))
writeFileSync(`${report}.md`, [lines.join('\n'), ...titled].join('\n'))
console.log(readFileSync(`${report}.md`, 'utf8'))
