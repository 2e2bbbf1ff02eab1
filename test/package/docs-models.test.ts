/** What docs/models.md and docs/docker.md say about commands, options and codes is so. */
import { readFileSync } from 'node:fs'
import { beforeAll, expect, it } from 'vitest'
import { ACCESS_REASONS } from '../../lib/base/errors.js'
import { bundle, runProgram, sandbox } from '../support/hub-server/sandbox.js'
import { repositoryRoot } from '../support/paths.js'

const box = sandbox()
let program = ''
beforeAll(async () => {
  program = await bundle('lib/cli/main.ts')
})

const read = (file: string) => readFileSync(`${repositoryRoot}/${file}`, 'utf8')

it('the commands of docs/models.md run in that order', async () => {
  box.fresh(10_000, true)
  const commands = [...read('docs/models.md').matchAll(/^\$ npx sam3-node (.*)$/gm)].map(([, args]) => args!.split(' '))
  expect(commands.length).toBeGreaterThan(4)
  for (const args of commands) {
    const yes = args.includes('rm') ? ['--yes'] : []
    const { code, stderr } = await runProgram(process.execPath, [program, ...args, ...yes], box.processEnv())
    expect(code, `${args.join(' ')}: ${stderr}`).toBe(0)
  }
})

// It needs a hub, so that it cannot run here: the compiler checks it, with the other tests of types.
it('the example of docs/models.md is the one of test/types/docs-models.ts', () => {
  const [, code] = /```typescript\n(.*?)```/s.exec(read('docs/models.md'))!
  expect(read('test/types/docs-models.ts')).toContain(code)
})

it('every reason for a refusal is in docs/models.md', () => {
  for (const reason of ACCESS_REASONS) expect(read('docs/models.md')).toContain(`| \`${reason}\` |`)
})

it('the line of docs/docker.md mounts the folder that the image uses', () => {
  const folder = /^VOLUME (.*)$/m.exec(read('Dockerfile'))![1]
  expect(read('Dockerfile')).toContain(`SAM3_CACHE_DIR=${folder} `)
  expect(read('docs/docker.md')).toMatch(new RegExp(`docker run .*--gpus all .*-v "\\$PWD/models:${folder}"`))
})
