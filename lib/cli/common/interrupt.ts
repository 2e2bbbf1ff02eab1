/** Commands that may be ended early, by Ctrl-C or a signal, and then leave what they have in order. */

/** Exit code of a command that was ended early, as shells have it. */
export const INTERRUPTED_EXIT_CODE = 130

/**
 * Runs `work`, whose signal fires at SIGINT and SIGTERM. What it throws after that is no failure of its own.
 * @param stopped Said where it threw after that.
 */
export async function interruptible(work: (signal: AbortSignal) => Promise<void>, stopped: string): Promise<void> {
  const stop = new AbortController()
  const interrupt = () => stop.abort(new Error('interrupted'))
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  try {
    await work(stop.signal)
  } catch (error) {
    if (!stop.signal.aborted) throw error
    process.stderr.write(`${stopped}\n`)
    process.exitCode = INTERRUPTED_EXIT_CODE
  } finally {
    process.removeListener('SIGINT', interrupt).removeListener('SIGTERM', interrupt)
  }
}
