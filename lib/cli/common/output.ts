/** What the commands print, on a terminal and in a log. Progress goes to stderr: stdout is for results. */
import cliProgress from 'cli-progress'
import { Sam3Error } from '../../base/errors.js'

/** One line for an error: its code, where it has one, and its message. Those of the system begin with theirs. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : ''
  return error.message.startsWith(code) ? error.message : `${code}${error.message}`
}

/** What ends a command. Only what nobody but us can mend comes with where it happened, to be reported. */
export function describeFailure(error: unknown): string {
  const isOurs = error instanceof Sam3Error
  if (isOurs && error.code === 'ERR_INTERNAL') {
    const { cause } = error
    return `${describeError(error)}\n${cause instanceof Error ? cause.stack : ''}`.trim()
  }
  if (isOurs || !(error instanceof Error) || (error as NodeJS.ErrnoException).syscall) return describeError(error)
  return `This is a fault of sam3-node. Please report it with these lines:\n${error.stack}`
}

/** Exit code of a command line that cannot be understood, as shells have it. */
export const USAGE_EXIT_CODE = 2

/** 1 where something failed, 2 where what was typed cannot be meant. */
export function exitCodeOf(error: unknown): number {
  const isUsage = error instanceof Sam3Error && ['ERR_INVALID_ARGUMENT', 'ERR_EMPTY_PROMPT'].includes(error.code)
  return isUsage ? USAGE_EXIT_CODE : 1
}

/** Columns of equal width, two spaces indented. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join('   ')}`.trimEnd())
    .join('\n')
}

/** Shows how far a run over many files has come. */
export interface Progress {
  /** A file is done; `line` says what came of it. */
  step(line: string): void
  stop(): void
}

const SILENT: Progress = { step: () => {}, stop: () => {} }

/** A bar on a terminal, one plain line per file elsewhere (so that logs stay readable), nothing when `quiet`. */
export function startProgress(total: number, quiet: boolean): Progress {
  if (quiet) return SILENT
  if (!process.stderr.isTTY || total < 2) {
    let done = 0
    return {
      step: (line) => process.stderr.write(total < 2 ? `${line}\n` : `[${++done}/${total}] ${line}\n`),
      stop: () => {},
    }
  }
  const bar = new cliProgress.SingleBar(
    { format: ' {bar} {value}/{total}  {eta_formatted} left  {line}', stream: process.stderr, hideCursor: true },
    cliProgress.Presets.shades_classic,
  )
  bar.start(total, 0, { line: '' })
  return { step: (line) => bar.increment({ line }), stop: () => bar.stop() }
}
