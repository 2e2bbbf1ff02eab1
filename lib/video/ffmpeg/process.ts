/** Running ffmpeg and ffprobe: never through a shell, never left behind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { type Sam3Error, Sam3EnvironmentError, Sam3RuntimeError } from '../../base/errors.js'
import { INSTALL_FIX } from './find.js'

/** Lines of stderr that are kept for an error message. */
const KEPT_LINES = 6
/** A longer line is no message but data. */
const LONGEST_LINE = 10_000

/** How a process ended. */
export interface Exit {
  /** Null where a signal ended it. */
  code: number | null
  signal: NodeJS.Signals | null
}

/** Processes that still run. A program that exits takes them with it. */
const running = new Set<ChildProcess>()
let watching = false

function watch(child: ChildProcess): void {
  if (!watching) {
    watching = true
    process.on('exit', () => {
      for (const one of running) one.kill('SIGKILL')
    })
  }
  running.add(child)
  child.once('exit', () => running.delete(child))
}

/** One run of ffmpeg or ffprobe. */
export class MediaProcess {
  /** What it writes; nobody reads it yet. */
  readonly stdout: Readable
  /** What it reads, where `stdin` was asked for. */
  readonly stdin: Writable | null
  /** Resolves when it has ended and all it wrote was read. Rejects where it could not be started. */
  readonly ended: Promise<Exit>
  readonly #child: ChildProcess
  readonly #program: string
  readonly #exited: Promise<void>
  #log: string[] = []

  /**
   * @param onLine Gets every line of stderr; true means that it was understood and is no message for a person.
   * @throws Sam3EnvironmentError `ERR_FFMPEG_NOT_FOUND` from `ended`
   */
  constructor(
    program: string,
    args: readonly string[],
    options: { stdin?: boolean; onLine?: (line: string) => boolean } = {},
  ) {
    this.#program = program
    const child = spawn(program, args, {
      stdio: [options.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      windowsHide: true,
      // Ctrl-C of a terminal goes to a whole group of processes: files are to be finished by us, not by everyone at once.
      detached: process.platform !== 'win32',
    })
    this.#child = child
    this.stdout = child.stdout!
    this.stdin = child.stdin
    watch(child)
    // A pipe that breaks is told by how the process ended.
    this.stdin?.on('error', () => {})
    this.stdout.on('error', () => {})
    this.#readLines(options.onLine)
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => resolve())
      child.once('error', () => resolve())
    })
    this.ended = new Promise((resolve, reject) => {
      child.once('error', (cause: NodeJS.ErrnoException) => {
        running.delete(child)
        reject(notStarted(program, cause))
      })
      child.once('close', (code, signal) => resolve({ code, signal }))
    })
    this.ended.catch(() => {}) // told to whoever reads or writes
  }

  /** The last lines that it wrote to stderr, for a person. */
  get lastLines(): string {
    return this.#log.join('\n')
  }

  /** Keeps the program alive, or does not: only while somebody waits for this process. */
  keepAlive(alive: boolean): void {
    type Part = { destroyed?: boolean; ref?(): void; unref?(): void } | null
    const parts = [this.#child, this.#child.stdin, this.#child.stdout, this.#child.stderr] as Part[]
    for (const part of parts) {
      if (part?.destroyed) continue
      if (alive) part?.ref?.()
      else part?.unref?.()
    }
  }

  /** Ends it now. Resolves when the system has let go of it. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    this.#child.ref()
    for (const stream of [this.stdin, this.stdout, this.#child.stderr]) stream?.destroy()
    await this.#exited
  }

  /** What to say when it ended though it should not have. */
  failure(exit: Exit, doing: string): Sam3Error {
    return failureOf(this.#program, exit, this.lastLines, doing)
  }

  #readLines(onLine: ((line: string) => boolean) | undefined): void {
    const stderr = this.#child.stderr!
    let rest = ''
    const take = (line: string) => {
      if (line.trim() === '' || onLine?.(line)) return
      this.#log = [...this.#log, `  ${withoutSecrets(line.trim())}`].slice(-KEPT_LINES)
    }
    stderr.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split(/\r\n|\n|\r/)
      rest = lines.pop()!.slice(-LONGEST_LINE)
      for (const line of lines) take(line)
    })
    stderr.on('end', () => take(rest))
    stderr.on('error', () => {})
  }
}

/** Signals that a program brings upon itself: it is broken, and not the file. */
const CRASHES: ReadonlySet<string | null> = new Set([
  'SIGSEGV',
  'SIGBUS',
  'SIGILL',
  'SIGFPE',
  'SIGABRT',
  'SIGTRAP',
  'SIGSYS',
])

function fixOf(signal: NodeJS.Signals | null): string {
  if (CRASHES.has(signal)) return 'The program itself is faulty: install another build or version of ffmpeg.'
  if (signal) return 'Look for what ended it (memory that ran out, a person), then try again.'
  return 'Try the same with ffmpeg itself; converting the video once (ffmpeg -i in.mp4 -c:v libx264 out.mp4) may help.'
}

/** What to say when a program ended though it should not have. */
export function failureOf(program: string, { code, signal }: Exit, lastLines: string, doing: string): Sam3Error {
  const how = signal ? `was ended by ${signal}` : `ended with exit code ${code}`
  const said = lastLines ? ` Its last lines:\n${lastLines}\n` : ''
  return new Sam3RuntimeError('ERR_FFMPEG_FAILED', `${program} ${how} while ${doing}.${said}`, { fix: fixOf(signal) })
}

/** Addresses without what comes before the host, and without their query: both may hold passwords. */
function withoutSecrets(line: string): string {
  return line.replace(/(\w+:\/\/)(?:[^\s/@]*@)?([^\s?]*)(?:\?[^\s:,]*)?/g, '$1$2')
}

function notStarted(program: string, cause: NodeJS.ErrnoException): Sam3Error {
  if (cause.code === 'EAGAIN' || cause.code === 'ENOMEM' || cause.code === 'EMFILE') {
    return new Sam3RuntimeError('ERR_FFMPEG_FAILED', `${program} could not be started (${cause.code}).`, {
      cause,
      fix: 'The machine is out of processes, files or memory: close what is not needed, then try again.',
    })
  }
  const isThere = existsSync(program)
  const why = isThere ? 'it may be built for another system' : 'it is gone'
  return new Sam3EnvironmentError(
    'ERR_FFMPEG_NOT_FOUND',
    `${program} cannot be started (${cause.code ?? cause.message}): ${why}.`,
    { cause, fix: INSTALL_FIX },
  )
}

/**
 * Runs a program to its end and hands its stdout over line by line.
 * @throws Sam3EnvironmentError `ERR_FFMPEG_NOT_FOUND`, Sam3AbortError
 */
export async function runToEnd(
  program: string,
  args: readonly string[],
  onLine: (line: string) => void,
  signal?: AbortSignal,
): Promise<{ exit: Exit; lastLines: string }> {
  const run = new MediaProcess(program, args)
  const kill = () => void run.kill()
  signal?.addEventListener('abort', kill, { once: true })
  let rest = ''
  run.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    for (const line of lines) onLine(line)
  })
  try {
    return { exit: await run.ended, lastLines: run.lastLines }
  } finally {
    signal?.removeEventListener('abort', kill)
    if (rest) onLine(rest)
  }
}
