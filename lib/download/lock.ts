/**
 * A lock between processes, threads and containers that share a cache folder, made of plain files, as Node has no
 * kernel locks. It is a folder of numbered turns: the file with the highest number says whose turn it is. Taking the
 * next turn is creating the next number, which the file system lets only one do, and the highest number is never
 * deleted: giving the lock back renames it to `<number>.over`, which works on a full disk too. So taking over from a
 * dead owner, which is where lock files usually race, is the same step as taking a lock that was given back.
 */
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { livenessOf, ownIdentity, type ProcessIdentity } from './process-identity.js'

/** A lock that is held. */
export interface BlobLock {
  /**
   * False when the owner before was only presumed dead: it stopped giving signs of life, but may be a process of
   * another container that was suspended. Files that it may still have open must then not be written to.
   */
  readonly alone: boolean
  /** Whether nobody has taken the lock over, as happens to a process that was suspended for long. */
  isMine(): Promise<boolean>
  release(): Promise<void>
}

/** Times in milliseconds. */
export interface LockTiming {
  /** How often an owner gives a sign of life. */
  beat: number
  /** After how long without one an owner whose process cannot be seen is presumed dead. */
  patience: number
  /** How often those who wait look. */
  poll: number
}

export const DEFAULT_TIMING: LockTiming = { beat: 2_000, patience: 20_000, poll: 150 }

interface Turn {
  number: number
  path: string
  over: boolean
}

type Owner = ProcessIdentity & { key: string }

async function turnsIn(folder: string): Promise<{ name: string; number: number; over: boolean }[]> {
  const names = (await readdir(folder)).filter((name) => /^\d+(\.over)?$/.test(name))
  return names.map((name) => ({ name, number: Number.parseInt(name, 10), over: name.endsWith('.over') }))
}

async function latestTurn(folder: string): Promise<Turn | undefined> {
  const turns = await turnsIn(folder)
  if (turns.length === 0) return undefined
  const number = Math.max(...turns.map((turn) => turn.number))
  return { number, path: join(folder, String(number)), over: turns.some((turn) => turn.number === number && turn.over) }
}

/** Undefined while the file is being written, or when its writer died in the middle. */
async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Owner
  } catch {
    return undefined
  }
}

/** Watches one turn: an owner that cannot be seen is presumed dead by this process's own clock, not by file times. */
class Watch {
  #seen = ''
  #since = 0

  async isSilent(path: string, patience: number): Promise<boolean> {
    const beat = await stat(path, { bigint: true }).then(
      ({ mtimeNs, ino }) => `${path} ${ino} ${mtimeNs}`,
      () => '',
    )
    if (beat !== this.#seen) {
      this.#seen = beat
      this.#since = performance.now()
    }
    return performance.now() - this.#since > patience
  }
}

/**
 * Waits for the lock. `onWait` is called on every look at a lock that someone else holds.
 * @throws the signal's reason
 */
export async function takeLock(
  folder: string,
  {
    signal,
    onWait,
    timing = DEFAULT_TIMING,
  }: { signal?: AbortSignal; onWait?: () => unknown; timing?: LockTiming } = {},
): Promise<BlobLock> {
  const watch = new Watch()
  for (;;) {
    signal?.throwIfAborted()
    await mkdir(folder, { recursive: true })
    const latest = await latestTurn(folder)
    let alone = true
    if (latest && !latest.over) {
      const owner = await readOwner(latest.path)
      const liveness = owner ? livenessOf(owner) : 'unknown'
      // A thread may die while its process lives, so that silence counts even then.
      const silent = await watch.isSilent(latest.path, timing.patience)
      if (liveness !== 'dead' && !silent) {
        await onWait?.()
        await sleep(timing.poll, undefined, { signal })
        continue
      }
      alone = liveness === 'dead'
    }
    const lock = await takeTurn(folder, (latest?.number ?? 0) + 1, alone, timing)
    if (lock) return lock
  }
}

async function takeTurn(
  folder: string,
  number: number,
  alone: boolean,
  timing: LockTiming,
): Promise<BlobLock | undefined> {
  const path = join(folder, String(number))
  const key = randomUUID()
  try {
    await (await open(path, 'wx')).close()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' || code === 'ENOENT') return undefined // another was faster, or the cache is being cleared
    throw error
  }
  try {
    await writeFile(path, JSON.stringify({ ...ownIdentity(), key } satisfies Owner))
  } catch (error) {
    await rename(path, `${path}.over`)
    throw error
  }
  const latest = await latestTurn(folder)
  if (latest?.number !== number || latest.over) {
    await rm(path, { force: true }) // late: this number was used before
    return undefined
  }
  for (const turn of await turnsIn(folder)) {
    if (turn.number < number) await rm(join(folder, turn.name), { force: true })
  }
  return hold(folder, path, number, key, alone, timing)
}

function hold(folder: string, path: string, number: number, key: string, alone: boolean, timing: LockTiming): BlobLock {
  const beat = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => {}) // taken over: isMine says so
  }, timing.beat)
  beat.unref()
  const isMine = async () => {
    const latest = await latestTurn(folder).catch(() => undefined)
    if (latest?.number !== number || latest.over) return false
    return (await readOwner(path))?.key === key
  }
  return {
    alone,
    isMine,
    release: async () => {
      clearInterval(beat)
      if (await isMine()) await rename(path, `${path}.over`).catch(() => {}) // taken over at this moment
    },
  }
}

/** Whether a process that is not known to be dead holds the lock. */
export async function isLockHeld(folder: string): Promise<boolean> {
  const latest = await latestTurn(folder).catch(() => undefined)
  if (!latest || latest.over) return false
  const owner = await readOwner(latest.path)
  return owner !== undefined && livenessOf(owner) !== 'dead'
}
