/** Every example of the README and of docs/ runs as it stands, against the demo model. */
import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import ts from 'typescript'
import { afterAll, describe, expect, it } from 'vitest'
import { ffmpeg } from '../support/clips.js'
import { repositoryRoot } from '../support/paths.js'
import { without } from '../support/without.js'
import { tiff } from '../support/tiff.js'

interface Example {
  language: string
  code: string
}

/** The fenced blocks of a page, in order. */
function examples(page: string): Example[] {
  const text = readFileSync(path.join(repositoryRoot, page), 'utf8')
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code]) => ({
    language: language!,
    code: code!,
  }))
}

/** A page's TypeScript as one program: each block continues the one before, as it does for a reader. */
function program(page: string): string {
  const blocks = examples(page).filter(({ language }) => language === 'ts' || language === 'js')
  return blocks.map(({ code }) => code).join('\n')
}

/** Commands of the library's own command line among the shell examples that need no network. */
function commands(page: string): string[][] {
  return examples(page)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ code }) => code.split('\n'))
    .filter((line) => /^npx sam3-node (segment|track|inspect weights) /.test(line))
    .map((line) => [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!).slice(2))
}

// A folder like the reader's: the package installed, a photograph, a video, a model.
const folder = mkdtempSync(path.join(tmpdir(), 'sam3-docs-'))
writeFileSync(path.join(folder, 'package.json'), '{ "name": "app", "private": true }')
mkdirSync(path.join(folder, 'node_modules'))
symlinkSync(repositoryRoot, path.join(folder, 'node_modules', 'sam3-node'))
symlinkSync(path.join(repositoryRoot, 'models', 'demo'), path.join(folder, 'sam3'))
symlinkSync(path.join(repositoryRoot, 'examples', 'scene.jpg'), path.join(folder, 'photo.jpg'))
symlinkSync(path.join(repositoryRoot, 'fonts', 'noto-sans-jp.woff'), path.join(folder, 'font.ttf'))
symlinkSync(path.join(repositoryRoot, 'node_modules', 'sharp'), path.join(folder, 'node_modules', 'sharp'))
const ramp = (length: number, most: number) => Array.from({ length }, (_, index) => (index / length) * most)
writeFileSync(path.join(folder, 'depth.tif'), tiff({ width: 80, height: 60, sample: 'float32', data: ramp(4800, 1) }))
const bands = {
  sample: 'uint16',
  data: ramp(4800 * 13, 3000),
  tags: { 262: 1, 338: Array<number>(12).fill(0) },
} as const
writeFileSync(path.join(folder, 'satellite.tif'), tiff({ width: 80, height: 60, ...bands }))
// The first frames are enough to run every line.
if (!without('ffmpeg'))
  ffmpeg('-i', `${repositoryRoot}/examples/clip/%02d.jpg`, '-frames:v', '12', path.join(folder, 'clip.mp4'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const pages = ['README.md', ...readdirSync(path.join(repositoryRoot, 'docs')).map((name) => `docs/${name}`)]
const run = (args: string[]) => promisify(execFile)(process.execPath, args, { cwd: folder })

describe.each(pages.filter((page) => page.endsWith('.md')))('%s', (page) => {
  const source = program(page)
  const needsFfmpeg = source.includes('clip.mp4')
  const leftOut = needsFfmpeg && without('ffmpeg')
  const runExamples = async () => {
    const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }
    const { outputText } = ts.transpileModule(source, { compilerOptions: options })
    const file = path.join(folder, `${path.basename(page, '.md')}.mjs`)
    writeFileSync(file, outputText)
    await run([file])
  }
  const runCommands = async () => {
    for (const args of commands(page)) await run([path.join(repositoryRoot, 'dist', 'cli.js'), ...args])
  }
  // A page of videos follows objects through some fifty frames.
  if (source !== '') it.skipIf(leftOut)('its examples run', runExamples, 180_000)
  if (commands(page).length > 0) it.skipIf(leftOut)('its commands run', runCommands, 180_000)

  it('its links lead somewhere', () => {
    const text = readFileSync(path.join(repositoryRoot, page), 'utf8')
    const targets = [...text.matchAll(/\]\(([^)#:]+)\)/g)].map(([, target]) => target!)
    const missing = targets.filter((target) => !existsSync(path.join(repositoryRoot, path.dirname(page), target)))
    expect(missing).toEqual([])
  })
})
