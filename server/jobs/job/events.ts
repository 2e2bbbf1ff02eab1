/** What happens to a job, as events that a client can go on with where it stopped reading. */
import { Bell } from '../../../lib/base/wake.js'
import { FINAL_STATES, type JobStore } from './store.js'

/** One event. `id` says how much of the job a client that has read it knows. */
export interface JobEvent {
  event: 'log' | 'progress' | 'state'
  id: string
  data: unknown
}

/** What a client knows: lines of the log, parts that are done, the last state. */
interface Known {
  logs: number
  done: number
  total: number
  state: string
}

const ID = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})\.([a-z]{1,20})$/

function readId(id: string | undefined): Known {
  const [, logs, done, total, state] = ID.exec(id ?? '') ?? []
  return { logs: Number(logs ?? 0), done: Number(done ?? 0), total: Number(total ?? 0), state: state ?? 'none' }
}

/** Milliseconds after which a job is looked at without news: news may get lost with a connection. */
const LOOK_AGAIN = 15_000

/** Whether a client has read everything that will ever happen. */
export function isRead(lastEventId: string | undefined): boolean {
  return [...FINAL_STATES, 'removed'].includes(readId(lastEventId).state)
}

/**
 * Events of a job: those that a client has not seen, then those to come, up to the end of the job. An event tells what is
 * true, not what has changed, so that none is missed by who was away: what lies between is left out. `undefined` now
 * and then, so that a connection is not taken for dead.
 */
export async function* jobEvents(
  store: JobStore,
  id: string,
  lastEventId: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<JobEvent | undefined> {
  const known = readId(lastEventId)
  const make = (event: JobEvent['event'], data: unknown): JobEvent => {
    return { event, id: `${known.logs}.${known.done}.${known.total}.${known.state}`, data }
  }
  const bell = new Bell()
  let isNews = false
  const unwatch = store.watch(id, () => {
    isNews = true
    bell.ring()
  })
  try {
    for (;;) {
      isNews = false
      const view = await store.get(id)
      // The log first: what is in it belongs to the state that follows.
      for (const line of await store.logs(id, known.logs)) {
        known.logs++
        yield make('log', { line })
      }
      if (!view) {
        known.state = 'removed'
        yield make('state', { id, state: 'removed' })
        return
      }
      const { done, total } = view.progress
      if (done !== known.done || total !== known.total) {
        Object.assign(known, { done, total })
        yield make('progress', { done, total })
      }
      if (view.state !== known.state) {
        known.state = view.state
        yield make('state', view)
      }
      if (FINAL_STATES.includes(view.state)) return
      if (isNews) continue
      const isLate = await ringOrLate(bell, signal)
      if (isLate) yield undefined
    }
  } finally {
    unwatch()
  }
}

/** Waits for the bell; true where it took too long. */
async function ringOrLate(bell: Bell, signal: AbortSignal): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<true>((resolve) => {
    timer = setTimeout(() => resolve(true), LOOK_AGAIN)
  })
  try {
    return await Promise.race([bell.wait(signal).then(() => false), late])
  } finally {
    clearTimeout(timer)
  }
}
