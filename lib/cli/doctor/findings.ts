/** What `sam3-node doctor` finds, and how it is printed. */
import { Sam3Error } from '../../base/errors.js'

/** One line of the report. `fix` is there when something is to be done. */
export interface Finding {
  state: 'ok' | 'note' | 'problem'
  /** What was looked at, in a word or two. */
  subject: string
  text: string
  fix?: string
}

const MARKS: Record<Finding['state'], string> = { ok: 'ok', note: '--', problem: '!!' }

export function describeFinding({ state, subject, text, fix }: Finding): string {
  const line = `${MARKS[state]}  ${subject.padEnd(8)} ${text}\n`
  return fix ? `${line}             ${fix.trimStart().replaceAll('\n', '\n             ')}\n` : line
}

/** A problem from an error, its text and its fix apart. */
export function problem(subject: string, error: unknown): Finding {
  if (!(error instanceof Sam3Error)) return { state: 'problem', subject, text: String(error) }
  const text = error.message.slice(0, error.message.length - error.fix.length).trim()
  return { state: 'problem', subject, text: `${error.code}: ${text}`, fix: error.fix }
}
