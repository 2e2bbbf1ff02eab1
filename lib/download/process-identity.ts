/** Says who holds a lock, so that others can tell whether that process still lives. */
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** Enough to recognise a process: a number alone is used again by others, and means another process in a container. */
export interface ProcessIdentity {
  host: string
  /** Boot and process-number namespace; only within both does `pid` mean anything. */
  realm: string
  pid: number
  /** Start time of the process in kernel ticks. */
  started: string
}

function tryRead(read: () => string): string {
  try {
    return read().trim()
  } catch {
    return ''
  }
}

/** State and start time of a process, empty where there is none (or no /proc). */
function processState(pid: number): { state: string; started: string } {
  // The name of the program, in brackets, may itself hold spaces and brackets.
  const fields = tryRead(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
    .replace(/^.*\) /s, '')
    .split(' ')
  return { state: fields[0] ?? '', started: fields[19] ?? '' }
}

let mine: ProcessIdentity | undefined

/** The identity of this process. */
export function ownIdentity(): ProcessIdentity {
  mine ??= {
    host: hostname(),
    realm: `${tryRead(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'))} ${tryRead(() => readlinkSync('/proc/self/ns/pid'))}`,
    pid: process.pid,
    started: processState(process.pid).started,
  }
  return mine
}

/** `unknown`: on another machine, in another container, or on a system without /proc. */
export function livenessOf(other: ProcessIdentity): 'alive' | 'dead' | 'unknown' {
  const own = ownIdentity()
  if (other.host !== own.host || other.realm !== own.realm || own.started === '') return 'unknown'
  const { state, started } = processState(other.pid)
  return started === other.started && state !== 'Z' && state !== 'X' ? 'alive' : 'dead'
}
