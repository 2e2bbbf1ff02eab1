/**
 * Sees whether a Python process holds its lock of a blob. Python locks by flock(2), which Node cannot take, but the
 * kernel lists who holds what. Nothing depends on seeing it: both sides write to files of their own and rename them when
 * they are complete; it only saves downloading the same bytes twice.
 */
import { readFile, stat } from 'node:fs/promises'

/** Whether some process holds an flock on the file. False where the system does not tell. */
export async function isFlocked(path: string): Promise<boolean> {
  try {
    const { dev, ino } = await stat(path)
    const major = (dev >> 8) & 0xfff
    const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00)
    const hex = (value: number) => value.toString(16).padStart(2, '0')
    const file = `${hex(major)}:${hex(minor)}:${ino}`
    const locks = await readFile('/proc/locks', 'utf8')
    return locks.split('\n').some((line) => line.includes(' FLOCK ') && line.split(/\s+/).includes(file))
  } catch {
    return false
  }
}
