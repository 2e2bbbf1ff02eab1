/** The scripts of package.json, as they are in a clone where nothing is installed. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { runProgram } from '../support/hub-server/sandbox.js'
import { repositoryRoot } from '../support/paths.js'

const scratch = mkdtempSync(path.join(tmpdir(), 'sam3-scripts-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const support = (name: string) => import(`${repositoryRoot}/scripts/support/${name}.mjs`)

/** A folder with these files and these scripts. */
function project(name: string, scripts: Record<string, string>, files: Record<string, string>): string {
  const folder = path.join(scratch, name)
  for (const [file, text] of Object.entries({ ...files, 'package.json': JSON.stringify({ scripts }) })) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
    writeFileSync(path.join(folder, file), text)
  }
  return folder
}

describe('what a script imports before set-up', async () => {
  const { earlyImports } = await support('early-imports')

  it('is there in a fresh clone', () => {
    expect(earlyImports()).toEqual([])
  })

  it('may be packages and built files only behind a dynamic import', () => {
    const files = {
      'scripts/a.mjs': "import fs from 'node:fs'\nimport { b } from './b.mjs'\nawait import('sharp')\n",
      'scripts/b.mjs': "export * from './c.mjs'\nexport const b = () => import('../dist/index.js')\n",
      'scripts/c.mjs': "import { d } from '../lib/d.mjs'\nimport '../dist/index.js'\nexport const c = d\n",
      'lib/d.mjs': "import sharp from 'sharp'\nexport const d = sharp\n",
      'scripts/e.mjs': "import { b } from './b.mjs'\nimport yauzl from 'yauzl'\n",
    }
    const complaints = earlyImports(
      project('imports', { one: 'node scripts/a.mjs', two: 'node scripts/e.mjs --x' }, files),
    )
    expect(complaints).toEqual([
      'npm run one -> scripts/a.mjs -> scripts/b.mjs -> scripts/c.mjs -> lib/d.mjs imports sharp',
      'npm run one -> scripts/a.mjs -> scripts/b.mjs -> scripts/c.mjs imports ../dist/index.js',
      'npm run two -> scripts/e.mjs -> scripts/b.mjs -> scripts/c.mjs -> lib/d.mjs imports sharp',
      'npm run two -> scripts/e.mjs -> scripts/b.mjs -> scripts/c.mjs imports ../dist/index.js',
      'npm run two -> scripts/e.mjs imports yauzl',
    ])
  })

  it('no script starts the program of a package by itself', () => {
    const scripts = { build: 'tsup', both: 'node a.mjs && vitest run', env: 'X=1 node a.mjs' }
    const complaints: string[] = earlyImports(project('programs', scripts, { 'a.mjs': '' }))
    expect(complaints.map((text) => /^"(\w+)"/.exec(text)?.[1])).toEqual(['build', 'both', 'env'])
  })
})

describe('the rooms of the code', async () => {
  const { roomFaults } = await support('rooms')

  it('use only what lies on lower floors', () => {
    expect(roomFaults()).toEqual([])
  })

  it('are all on a floor, use nothing above them, and have no circle of files', () => {
    const rooms = {
      'C++': [['native/core'], ['native/masks', 'native/image'], ['binding']],
      TypeScript: [['lib/base'], ['lib/hub'], ['lib']],
    }
    const files = {
      'scripts/support/rooms.json': JSON.stringify(rooms),
      'native/core/error.h': '#include <string>\n#include "masks/runs.h"\n',
      'native/masks/runs.h': '#include "core/error.h"\n',
      'native/image/segment.cc': '#include "core/error.h"\n#include "masks/runs.h"\n',
      'binding/convert.h': '#include "core/error.h"\n',
      'binding/model.cc': '#include "convert.h"\n#include "video/session.h"\n',
      'native/video/session.h': '#include "core/error.h"\n',
      'lib/base/errors.ts': "import sharp from 'sharp'\nexport type Hub = import('../hub/hub.js').Hub\n",
      'lib/hub/hub.ts': "export * from './pull.js'\nexport interface Hub {}\n",
      'lib/hub/pull.ts': "import type { Hub } from './hub.js'\nexport const pull = (hub: Hub) => hub\n",
      'lib/index.ts': "export const hub = () => import('./hub/hub.js')\n",
    }
    expect(roomFaults(project('rooms', {}, files))).toEqual([
      'rooms.json does not list the room native/video',
      'binding is not above native/video: binding/model.cc uses native/video/session.h',
      'lib/base is not above lib/hub: lib/base/errors.ts uses lib/hub/hub.ts',
      'native/core is not above native/masks: native/core/error.h uses native/masks/runs.h',
      'native/image is not above native/masks: native/image/segment.cc uses native/masks/runs.h',
      'native/video is not above native/core: native/video/session.h uses native/core/error.h',
      'files in a circle: native/core/error.h, native/masks/runs.h',
      'files in a circle: lib/hub/hub.ts, lib/hub/pull.ts',
    ])
  })
})

describe('the list of Python packages', async () => {
  const { readRequirements } = await support('requirements')
  it('pins every package once for every version of Python', () => {
    for (const python of ['3.10.4', '3.11.7', '3.14.0']) {
      const list: { name: string; version: string }[] = readRequirements('requirements-dev.txt', python)
      expect(new Set(list.map(({ name }) => name)).size).toBe(list.length)
      expect(list.map(({ name }) => name)).toEqual(expect.arrayContaining(['pytest', 'ruff', 'transformers', 'pillow']))
    }
    expect(readRequirements('requirements-dev.txt', '3.10.4')).not.toEqual(
      readRequirements('requirements-dev.txt', '3.11.7'),
    )
  })
})

describe('a clone where nothing is installed', () => {
  const clone = path.join(scratch, 'clone')
  const npm = (...args: string[]) => runProgram('npm', ['--prefix', clone, ...args], { ...process.env, HOME: scratch })
  execFileSync('git', ['clone', '--quiet', repositoryRoot, clone])

  it('tells what the benchmark can do', async () => {
    const { code, stdout, stderr } = await npm('run', 'bench', '--', '--help')
    expect(code, stderr).toBe(0)
    expect(stdout).toContain('Usage: npm run bench')
  })

  it('refuses what cannot be left out of the tests, before anything is installed', async () => {
    const { code, stderr } = await npm('test', '--', '--without', 'ffmpeg,luck')
    expect(code).toBe(2)
    expect(stderr).toContain('chromium, curl, ffmpeg, redis, native, python, root')
  })

  it('runs the type check as its first command', async () => {
    const { code, stdout, stderr } = await npm('run', 'typecheck')
    expect(code, stdout + stderr).toBe(0)
    expect(stdout).toContain('Node packages: installed')
  }, 300_000)
})

describe('the words that the demo says it knows', async () => {
  const { knownNames } = await support('demo')
  const words = JSON.parse(readFileSync(path.join(repositoryRoot, 'scripts/tiny/weights/words.json'), 'utf8'))
  const { plain, coloured } = knownNames(words) as Record<'plain' | 'coloured', string[]>

  it('are its nouns, orange among them, which is also a colour, and nouns with a colour', () => {
    expect(plain).toContain('orange')
    expect(plain).toContain('light bulb')
    expect(plain.filter((name) => /^(red|orange|yellow|green|blue|purple) /.test(name))).toEqual([])
    expect(coloured.filter((name) => !/^(red|orange|yellow|green|blue|purple) /.test(name))).toEqual([])
    expect(plain.length + coloured.length).toBe(words.words.length)
  })
})
