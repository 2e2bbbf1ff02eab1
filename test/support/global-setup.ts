/** Before all tests: the golden weights in every form that the library loads, with a program exported for them. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import {
  goldenModels,
  goldenRoot,
  type ModelForms,
  multiplexModel,
  multiplexRoot,
  replayedModels,
  replayedRoot,
  repositoryRoot,
} from './paths.js'
import { pythonWith } from './python.js'

/** What the forms are made from: the weights as they are, and the sources of the export. Newer ones make them stale. */
function sourcesOf(root: string): string {
  const folders = [`${root}/model`, `${repositoryRoot}/scripts/export`]
  const files = folders.flatMap((folder) => readdirSync(folder).map((name) => `${folder}/${name}`))
  const described = files
    .filter((file) => !file.endsWith('__pycache__'))
    .map((file) => `${file} ${statSync(file).size} ${statSync(file).mtimeMs}`)
  return described.sort().join('\n')
}

function makeForms(root: string, { folder, safetensors, meta, checkpoint }: ModelForms): void {
  const stamp = `${folder}/.made-from`
  const sources = sourcesOf(root)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return
  const python = pythonWith('torch')

  rmSync(folder, { recursive: true, force: true })
  const runExport = (...args: string[]) =>
    execFileSync(python, ['-m', 'scripts.export', ...args], { cwd: repositoryRoot, stdio: 'pipe' })
  const model = `${root}/model`
  const forms = [
    [safetensors, 'model.safetensors'],
    [meta, 'sam3.pt'],
  ].filter(([, weights]) => existsSync(`${model}/${weights}`)) as [string, string][]
  if (forms.length === 0) throw new Error(`${model} has neither model.safetensors nor sam3.pt.`)
  for (const [target, weights] of forms) {
    mkdirSync(target, { recursive: true })
    for (const name of ['config.json', weights, 'tokenizer.json']) symlinkSync(`${model}/${name}`, `${target}/${name}`)
    runExport('program', '--config', `${model}/config.json`, '--out', target)
  }
  const inputs = ['--weights', `${model}/${forms[0]![1]}`, '--tokenizer', `${model}/tokenizer.json`]
  runExport('checkpoint', ...inputs, '--config', `${model}/config.json`, '--out', checkpoint)
  writeFileSync(stamp, sources)
}

/** The model of SAM 3.1, with a program and a tokenizer. */
function makeMultiplex(): void {
  const stamp = `${multiplexModel}/.made-from`
  const sources = sourcesOf(multiplexRoot)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return
  const model = `${multiplexRoot}/model`
  rmSync(multiplexModel, { recursive: true, force: true })
  mkdirSync(multiplexModel, { recursive: true })
  for (const name of ['config.json', 'model.safetensors']) symlinkSync(`${model}/${name}`, `${multiplexModel}/${name}`)
  symlinkSync(`${goldenRoot}/model/tokenizer.json`, `${multiplexModel}/tokenizer.json`)
  const args = ['-m', 'scripts.export', 'program', '--config', `${model}/config.json`, '--out', multiplexModel]
  execFileSync(pythonWith('torch'), args, { cwd: repositoryRoot, stdio: 'pipe' })
  writeFileSync(stamp, sources)
}

export default function setup(): void {
  makeMultiplex()
  makeForms(goldenRoot, goldenModels)
  if (replayedRoot !== goldenRoot) makeForms(replayedRoot, replayedModels)
}
