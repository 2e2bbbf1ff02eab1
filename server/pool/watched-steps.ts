/** Results that come one by one from a device, which may fall silent between two of them. */

/** @param watch waits for a step, and rejects where the device does not answer any more */
export async function* watchedSteps<T>(
  results: AsyncIterable<T>,
  watch: <R>(work: Promise<R>) => Promise<R>,
): AsyncGenerator<T> {
  const steps = results[Symbol.asyncIterator]()
  let isOver = false
  try {
    for (;;) {
      const { value, done } = await watch(steps.next())
      isOver = done === true
      if (isOver) return
      yield value
    }
  } finally {
    // Behind a step that is never done, the end would never come either.
    if (!isOver) steps.return?.().catch(() => {})
  }
}
