/** Before all tests: the golden weights in every form that the library loads, with a program exported for them. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { goldenModels, goldenRoot, repositoryRoot } from './paths.js'
import { pythonWith } from './python.js'

/** Newer sources of the export make what was exported before stale. */
function newestSource(): number {
  const folder = `${repositoryRoot}/scripts/export`
  return Math.max(...readdirSync(folder).map((name) => statSync(`${folder}/${name}`).mtimeMs))
}

function link(folder: string, ...names: string[]): void {
  mkdirSync(folder, { recursive: true })
  for (const name of names) symlinkSync(`${goldenRoot}/model/${name}`, `${folder}/${name}`)
}

export default function setup(): void {
  if (!goldenRoot) return
  const { folder, safetensors, meta, checkpoint } = goldenModels
  const stamp = `${folder}/.made-from-${goldenRoot.replaceAll('/', '_')}`
  if (existsSync(stamp) && statSync(stamp).mtimeMs > newestSource()) return
  const python = pythonWith('torch')
  if (!python) throw new Error('The tests need a Python with torch: run npm run setup, or set SAM3_PYTHON.')

  rmSync(folder, { recursive: true, force: true })
  const runExport = (...args: string[]) =>
    execFileSync(python, ['-m', 'scripts.export', ...args], { cwd: repositoryRoot, stdio: 'pipe' })
  link(safetensors, 'config.json', 'model.safetensors', 'tokenizer.json')
  link(meta, 'config.json', 'sam3.pt', 'tokenizer.json')
  for (const target of [safetensors, meta]) runExport('program', '--config', `${target}/config.json`, '--out', target)
  const sources = ['--weights', `${safetensors}/model.safetensors`, '--tokenizer', `${safetensors}/tokenizer.json`]
  runExport('checkpoint', ...sources, '--config', `${safetensors}/config.json`, '--out', checkpoint)
  writeFileSync(stamp, '')
}
