/** Video sessions that clients have open: not more than the service holds, and none that nobody uses any more. */
import { randomUUID } from 'node:crypto'
import { type Sam3ImageModel, type Sam3VideoModel, Sam3ServiceError, type VideoSession } from 'sam3-node'

/** An open session. */
export interface OpenSession {
  readonly session: VideoSession
  /** The model that follows its objects. */
  readonly model: Sam3VideoModel
  /** Frames that were pushed into it; undefined for a video that was sent whole. */
  pushed: number | undefined
  /** Removes what it was opened from. */
  cleanUp(): Promise<void>
}

/** Limits of all sessions together. */
export interface SessionLimits {
  /** Most that are open at a time. */
  maxSessions: number
  /** Milliseconds after its last request at which a session is closed. */
  sessionIdleMs: number
}

interface Entry extends OpenSession {
  uses: number
  timer: NodeJS.Timeout | undefined
}

export class Sessions {
  readonly #limits: SessionLimits
  readonly #entries = new Map<string, Entry>()
  #opening = 0

  constructor(limits: SessionLimits) {
    this.#limits = limits
  }

  /**
   * Keeps what `open` opens.
   * @returns its name
   * @throws Sam3ServiceError `ERR_LIMIT_REACHED`; what `open` throws
   */
  async add(open: () => Promise<OpenSession>): Promise<{ id: string; opened: OpenSession }> {
    const { maxSessions } = this.#limits
    if (this.#entries.size + this.#opening >= maxSessions) {
      throw new Sam3ServiceError('ERR_LIMIT_REACHED', `${maxSessions} video sessions are open, which is the most.`, {
        fix: 'Close one that is no longer used, or try again later.',
      })
    }
    this.#opening++
    try {
      const opened = await open()
      const id = randomUUID()
      const entry: Entry = { ...opened, uses: 0, timer: undefined }
      this.#entries.set(id, entry)
      this.#rest(id, entry)
      return { id, opened }
    } finally {
      this.#opening--
    }
  }

  /**
   * Works with a session, which is not idle meanwhile.
   * @throws Sam3ServiceError `ERR_NOT_FOUND`; what `work` throws
   */
  async use<T>(id: string, work: (open: OpenSession) => Promise<T>): Promise<T> {
    const entry = this.#entry(id)
    clearTimeout(entry.timer)
    entry.uses++
    try {
      return await work(entry)
    } finally {
      entry.uses--
      if (entry.uses === 0 && this.#entries.get(id) === entry) this.#rest(id, entry)
    }
  }

  /** @throws Sam3ServiceError `ERR_NOT_FOUND` */
  async close(id: string): Promise<void> {
    await this.#close(id, this.#entry(id))
  }

  /** Closes all of them. */
  async closeAll(): Promise<void> {
    await Promise.all([...this.#entries].map(([id, entry]) => this.#close(id, entry)))
  }

  /** Forgets those of a model that was lost: nobody waits for what it says to it. */
  abandon(lost: Sam3ImageModel): void {
    for (const [id, entry] of this.#entries) {
      if (entry.model !== lost) continue
      this.#entries.delete(id)
      clearTimeout(entry.timer)
      entry.session.close().catch(() => {})
      entry.cleanUp().catch(() => {})
    }
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id)
    if (entry) return entry
    const seconds = this.#limits.sessionIdleMs / 1000
    throw new Sam3ServiceError(
      'ERR_NOT_FOUND',
      `There is no such session: it was never here, was closed, or was not used for ${seconds} s.`,
      { fix: 'Start another one with POST /v1/sessions.' },
    )
  }

  #rest(id: string, entry: Entry): void {
    entry.timer = setTimeout(() => void this.#close(id, entry).catch(() => {}), this.#limits.sessionIdleMs)
    entry.timer.unref()
  }

  async #close(id: string, entry: Entry): Promise<void> {
    this.#entries.delete(id)
    clearTimeout(entry.timer)
    try {
      await entry.session.close()
    } finally {
      await entry.cleanUp()
    }
  }
}
