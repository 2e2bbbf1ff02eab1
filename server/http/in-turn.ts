/** Work on several things at once, in order, but never on all. */

/**
 * Results of `work` on each item, in order, each when it is there; a few are under way at a time. The first failure ends it.
 * @param most How many are under way.
 */
export async function* inTurn<T, R>(
  items: readonly T[],
  most: number,
  work: (item: T, index: number) => Promise<R>,
): AsyncGenerator<R, void, void> {
  const running: Promise<R>[] = []
  const start = (index: number) => {
    if (index >= items.length) return
    const result = work(items[index]!, index)
    result.catch(() => {}) // told when its turn comes; before it, another may have ended the whole
    running[index] = result
  }
  for (let index = 0; index < Math.min(most, items.length); index++) start(index)
  for (let index = 0; index < items.length; index++) {
    const result = await running[index]!
    start(index + most)
    yield result
  }
}
