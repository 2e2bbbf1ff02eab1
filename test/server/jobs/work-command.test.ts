/** `sam3-node work` on the command line, as far as it needs no Redis. */
import { expect, it } from 'vitest'
import { flagName, OPTIONS } from '../../../server/config/schema.js'
import { runHere } from '../../support/command-line.js'

it('teaches its options in its help', async () => {
  const { code, stdout } = await runHere(['work', '--help'])
  expect(code).toBe(0)
  for (const { name, group } of OPTIONS) if (group === 'Jobs') expect(stdout).toContain(`--${flagName(name)} `)
  expect(stdout).not.toContain('--max-queue-size')
})

it('says what it lacks', async () => {
  const { code, stderr } = await runHere(['work'])
  expect(code).toBe(2)
  expect(stderr).toMatch(/ERR_INVALID_ARGUMENT: A worker needs .* --redis redis:/)
})

it.each([
  [['--redis', 'http://localhost:6379'], 'redis://host:6379'],
  [['--redis', 'redis://localhost:6379', '--job-roots', '/nowhere/at/all'], '/nowhere/at/all'],
  [['--redis', 'redis://localhost:6379', '--job-concurrency', '0'], 'job-concurrency'],
  [['--redis', 'redis://localhost:6379', '--queue-name', 'a:b'], 'queue-name'],
])('refuses %j before it loads a model', async (options, why) => {
  const { code, stderr } = await runHere(['work', '--model', 'demo', '--port', '0', ...options])
  expect(code).toBe(2)
  expect(stderr).toContain(why)
})

it('shows what holds, but no password', async () => {
  const env = { ...process.env, SAM3_SERVE_REDIS: 'redis://user:secret@queue.example:6379' }
  const { code, stdout } = await runHere(['work', '--print-config', '--job-concurrency', '4'], { env })
  expect(code).toBe(0)
  expect(stdout).toMatch(/^redis = redis:\/\/…@queue\.example:6379 +# variable SAM3_SERVE_REDIS$/m)
  expect(stdout).toMatch(/^job-concurrency = 4 +# flag --job-concurrency$/m)
  expect(stdout).not.toContain('secret')
})
