/** What waits for a device: by priority, and within a priority in turns between clients. */

/** What waits longest of its kind goes first only among its equals: `high` before `normal` before `low`. */
export const PRIORITIES = ['high', 'normal', 'low'] as const
export type Priority = (typeof PRIORITIES)[number]

/** What the queue has to know of what waits in it. */
export interface Queued {
  /** On whose behalf it waits. */
  readonly client: string
  readonly priority: Priority
  /** What it takes of a device's time beside others, such as its number of images. */
  readonly cost: number
}

interface Client<T> {
  /** Until when, in the time of its level, what it was given is paid for. */
  paidUntil: number
  waiting: T[]
}

/** One priority. Its time goes on with the work that is given out: start-time fair queueing, all clients weigh the same. */
class Level<T extends Queued> {
  readonly clients = new Map<string, Client<T>>()
  #now = 0

  push(item: T, end: 'first' | 'last'): void {
    const { waiting, paidUntil } = this.clients.get(item.client) ?? { waiting: [], paidUntil: this.#now }
    if (end === 'last') waiting.push(item)
    else waiting.unshift(item)
    this.clients.set(item.client, { waiting, paidUntil })
  }

  take(fits: (item: T) => boolean): T | undefined {
    let best: { client: Client<T>; start: number; index: number } | undefined
    for (const client of this.clients.values()) {
      const start = Math.max(client.paidUntil, this.#now)
      if (best && start >= best.start) continue
      const index = client.waiting.findIndex(fits)
      if (index >= 0) best = { client, start, index }
    }
    if (!best) return undefined
    const { client, start, index } = best
    const [item] = client.waiting.splice(index, 1)
    this.#now = start
    client.paidUntil = start + item!.cost
    this.#forget()
    return item
  }

  remove(item: T): boolean {
    const client = this.clients.get(item.client)
    const index = client?.waiting.indexOf(item) ?? -1
    if (!client || index < 0) return false
    client.waiting.splice(index, 1)
    this.#forget()
    return true
  }

  /** Forgets clients that have nothing waiting and are even with the others; all, where nobody is kept waiting. */
  #forget(): void {
    const isIdle = [...this.clients.values()].every(({ waiting }) => waiting.length === 0)
    for (const [name, { waiting, paidUntil }] of this.clients)
      if (waiting.length === 0 && (isIdle || paidUntil <= this.#now)) this.clients.delete(name)
    if (isIdle) this.#now = 0
  }
}

/**
 * A queue in which nobody waits for somebody else's two hundred requests: of those that wait, the client goes first that
 * was given least, by the cost of its requests.
 */
export class FairQueue<T extends Queued> {
  readonly #levels = new Map<Priority, Level<T>>(PRIORITIES.map((priority) => [priority, new Level<T>()]))
  #size = 0

  /** How many wait. */
  get size(): number {
    return this.#size
  }

  push(item: T): void {
    this.#put(item, 'last')
  }

  /** Puts an item back that was taken in vain, before all others of its client. */
  putBack(item: T): void {
    this.#put(item, 'first')
  }

  #put(item: T, end: 'first' | 'last'): void {
    this.#levels.get(item.priority)!.push(item, end)
    this.#size++
  }

  /** Takes whose turn it is, of those that fit. */
  take(fits: (item: T) => boolean): T | undefined {
    for (const level of this.#levels.values()) {
      const item = level.take(fits)
      if (!item) continue
      this.#size--
      return item
    }
    return undefined
  }

  /** Takes an item out, where it still waits. */
  remove(item: T): boolean {
    const isThere = this.#levels.get(item.priority)!.remove(item)
    if (isThere) this.#size--
    return isThere
  }

  /** All that wait, in no order that matters. */
  *[Symbol.iterator](): Generator<T> {
    for (const { clients } of this.#levels.values()) for (const { waiting } of clients.values()) yield* waiting
  }
}
