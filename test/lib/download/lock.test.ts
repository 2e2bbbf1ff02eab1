/** The lock between processes, by itself. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, it } from 'vitest'
import { type LockTiming, takeLock } from '../../../lib/download/lock.js'
import { livenessOf, ownIdentity } from '../../../lib/download/process-identity.js'
import { isFlocked } from '../../../lib/hub/python-lock.js'
import { rejection } from '../../support/model.js'
import { pythonWith } from '../../support/python.js'
import { without } from '../../support/without.js'
import { seededRandom } from '../../support/random.js'

const root = mkdtempSync(path.join(tmpdir(), 'sam3-lock-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const timing: LockTiming = { beat: 40, patience: 1_000, poll: 2 }
/** A process that existed, and does not any more. */
const dead = { ...ownIdentity(), pid: Number(execFileSync('sh', ['-c', 'echo $$'])), started: '1' }

/** A lock that `owner` took and never gave back. */
function leftBehind(name: string, owner: object): string {
  const folder = path.join(root, name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, '7'), JSON.stringify({ ...owner, key: 'old' }))
  return folder
}

it('lets one in at a time, also where all find the lock of a dead process', async () => {
  const random = seededRandom(5)
  for (const folder of [path.join(root, 'new'), leftBehind('dead', dead)]) {
    let inside = 0
    let turns = 0
    const contender = async () => {
      for (let i = 0; i < 8; i++) {
        const lock = await takeLock(folder, { timing })
        expect(++inside).toBe(1)
        expect(lock.alone).toBe(true)
        await sleep(random() * 4)
        expect(await lock.isMine()).toBe(true)
        inside--
        turns++
        await lock.release()
      }
    }
    await Promise.all(Array.from({ length: 6 }, contender))
    expect(turns).toBe(48)
    expect(readdirSync(folder)).toHaveLength(1) // old turns are cleared away
  }
})

it('knows the living from the dead and from those it cannot see', () => {
  expect(livenessOf(ownIdentity())).toBe('alive')
  expect(livenessOf(dead)).toBe('dead')
  expect(livenessOf({ ...ownIdentity(), started: '1' })).toBe('dead') // its number is used by another process now
  expect(livenessOf({ ...dead, host: 'elsewhere' })).toBe('unknown')
  expect(livenessOf({ ...dead, realm: 'another container' })).toBe('unknown')
})

it('waits for an owner that it cannot see while that one gives signs of life, and not much longer', async () => {
  const folder = leftBehind('elsewhere', { ...dead, host: 'elsewhere' })
  const start = performance.now()
  const lock = await takeLock(folder, { timing })
  expect(performance.now() - start).toBeGreaterThan(timing.patience)
  // It may only have been suspended: its files are not to be trusted, and it finds out that it lost.
  expect(lock.alone).toBe(false)
  const waiting = takeLock(folder, { timing, signal: AbortSignal.timeout(2_500) })
  expect((await rejection(waiting)).name).toMatch(/Timeout|Abort/) // this owner beats
  await lock.release()
  expect((await takeLock(folder, { timing })).alone).toBe(true)
})

it('takes over a turn whose file was never written to its end', async () => {
  const folder = path.join(root, 'empty')
  mkdirSync(folder)
  writeFileSync(path.join(folder, '3'), '{"host":')
  const lock = await takeLock(folder, { timing })
  expect(lock.alone).toBe(false)
  expect(readdirSync(folder)).toEqual(['4'])
})

const python = pythonWith('fcntl')
it.skipIf(without('python'))('sees the lock that Python holds', async () => {
  const file = path.join(root, 'python.lock')
  expect(await isFlocked(file)).toBe(false)
  const { spawn } = await import('node:child_process')
  const script = `import fcntl, sys; f = open(${JSON.stringify(file)}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()`
  const holder = spawn(python, ['-c', script])
  await new Promise((resolve) => holder.stdout.once('data', resolve))
  expect(await isFlocked(file)).toBe(true)
  holder.stdin.end()
  await new Promise((resolve) => holder.once('close', resolve))
  expect(await isFlocked(file)).toBe(false)
})

it('does not let in one who comes late with a number that was used before', async () => {
  const folder = path.join(root, 'late')
  for (let i = 0; i < 3; i++) await (await takeLock(folder, { timing })).release()
  expect(readdirSync(folder)).toEqual(['3.over'])
  // As if somebody had looked when turn 2 was over, slept, and now created what they believe to be the next.
  writeFileSync(path.join(folder, '3'), JSON.stringify({ ...ownIdentity(), key: 'late' }))
  const lock = await takeLock(folder, { timing })
  expect(readdirSync(folder)).toEqual(['4'])
  expect(await lock.isMine()).toBe(true)
  await lock.release()
})
