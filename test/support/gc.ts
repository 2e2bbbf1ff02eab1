/** Garbage collection when a test wants it. */
import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** Collects garbage until `done` says so, for up to a second. */
export async function collectUntil(done: () => boolean | Promise<boolean>): Promise<boolean> {
  for (let round = 0; round < 50; round++) {
    gc()
    await setTimeout(20) // finalizers run on a later turn
    if (await done()) return true
  }
  return false
}
