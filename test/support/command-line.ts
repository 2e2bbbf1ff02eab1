/** The command line within the test's own process: a second and a half less for each than a process of its own. */
import { vi } from 'vitest'
import { runCommandLine } from '../../lib/cli/program.js'

export interface Outcome {
  code: number
  stdout: string
  stderr: string
}

/** Runs one command line; one at a time, because folder, environment and output are the process's. */
export async function runHere(
  args: readonly string[],
  { cwd = process.cwd(), env = process.env }: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  const before = { cwd: process.cwd(), env: process.env, exitCode: process.exitCode }
  const outcome: Outcome = { code: 0, stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      outcome[name] += String(text)
      return true
    }),
  )
  process.chdir(cwd)
  process.env = env
  process.exitCode = undefined
  try {
    await runCommandLine(args)
    outcome.code = Number(process.exitCode ?? 0)
  } finally {
    process.exitCode = before.exitCode
    process.env = before.env
    process.chdir(before.cwd)
    for (const spy of spies) spy.mockRestore()
  }
  return outcome
}
