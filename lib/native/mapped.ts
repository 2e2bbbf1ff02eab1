/** What this process has open already, whoever opened it: another copy of this library, another thread, another addon. */
import { readFileSync } from 'node:fs'

/** Path, with links resolved, of the libtorch.so that is open; undefined where none is, or the system does not tell. */
export function mappedLibtorch(): string | undefined {
  try {
    return /^\S+ \S+ \S+ \S+ \S+ +(\/.*\/libtorch\.so)$/m.exec(readFileSync('/proc/self/maps', 'utf8'))?.[1]
  } catch {
    return undefined // no Linux
  }
}
