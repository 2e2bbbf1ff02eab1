// `npm run check:clone`: what a stranger meets. Every npm script, each as the first command in a fresh clone of the last
// commit, with an empty HOME: no node_modules, no .venv, nothing built.
//
//   npm run check:clone -- [SCRIPT...] [--bare]
//
// SCRIPT  only these (all but those that take very long: test, test:fuzz, test:long, test:sanitize, test:standin)
// --bare  shares nothing with this checkout; otherwise its torch is borrowed, and its compiled engine is copied

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { root, run } from './support/command.mjs'

/** Arguments that make a script short enough, or show that it can be asked for help; one run for each entry. */
const ARGUMENTS = {
  bench: [['--help'], ['--quick', '--only', 'overhead', '--model', 'models/demo', '--out', 'build/bench']],
  coverage: [['test/lib/result/mask.test.ts']],
  test: [['rle']],
}
const LONG = ['test', 'test:fuzz', 'test:long', 'test:sanitize', 'test:standin', 'check:clone']
/** The engine as `build/Release` holds it, with the stamp that vouches for its sources. */
const ENGINE = ['sam3_loader.node', 'libsam3_engine.so', 'sam3_engine.json', '.stamp']
/** What would bring something in from outside of the clone. */
const OUTSIDE = [
  'LIBTORCH',
  'SAM3_PYTHON',
  'CONDA_PREFIX',
  'VIRTUAL_ENV',
  'SAM3_OFFLINE',
  'SAM3_ANY_TORCH',
  'XDG_CACHE_HOME',
]

/** Runs one script in a clone of its own. @returns {Promise<string | undefined>} what went wrong */
async function tryScript(name, args, bare) {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'sam3-clone-'))
  const clone = path.join(scratch, 'sam3-node')
  const env = Object.fromEntries(OUTSIDE.map((variable) => [variable, undefined]))
  try {
    execFileSync('git', ['clone', '--quiet', root, clone], { stdio: 'pipe' })
    mkdirSync(path.join(scratch, 'home'))
    if (!bare) {
      const engine = path.join(root, 'build/Release')
      if (ENGINE.every((file) => existsSync(path.join(engine, file))))
        for (const file of ENGINE) cpSync(path.join(engine, file), path.join(clone, 'build/Release', file))
      env.VIRTUAL_ENV = path.join(root, '.venv')
    }
    const { code, output } = await run('npm', ['run', name, '--', ...args], {
      cwd: clone,
      env: { ...env, HOME: path.join(scratch, 'home') },
    })
    return code === 0 ? undefined : `exit code ${code}\n${output.trimEnd().split('\n').slice(-40).join('\n')}`
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { bare: { type: 'boolean' } } })
const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
const names = positionals.length > 0 ? positionals : Object.keys(scripts).filter((name) => !LONG.includes(name))
let failed = 0
let passed = 0
for (const name of names) {
  for (const args of ARGUMENTS[name] ?? [[]]) {
    const begun = performance.now()
    const wrong = await tryScript(name, args, values.bare)
    const command = ['npm run', name, ...(args.length ? ['--', ...args] : [])].join(' ')
    const seconds = ((performance.now() - begun) / 1000).toFixed(1)
    console.log(`${command}: ${wrong ?? 'works'} (${seconds} s)`)
    if (wrong) failed++
    else passed++
  }
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
