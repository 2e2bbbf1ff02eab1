/** Which kind of model a file of weights is of, by the names of its tensors. */
import { closeSync, openSync, readSync } from 'node:fs'

/** SAM 3, or SAM 3.1 (Object Multiplex). */
export type ModelKind = 'sam3' | 'sam3.1'

/** Names of parts that only SAM 3.1 has: two more necks, and a tracker within a tracker. */
const MARKS = ['interactive_convs.', 'propagation_convs.', 'tracker.model.']
/** All formats have the names at the beginning, and in every one they are plain text. */
const BEGINNING = 4 << 20

/** The kind of the weights at `path`. What is no file of weights counts as SAM 3: the engine says what is wrong with it. */
export function kindOfWeights(path: string): ModelKind {
  const beginning = Buffer.alloc(BEGINNING)
  let length = 0
  try {
    const file = openSync(path, 'r')
    try {
      length = readSync(file, beginning, 0, BEGINNING, 0)
    } finally {
      closeSync(file)
    }
  } catch {
    return 'sam3'
  }
  const names = beginning.subarray(0, length)
  return MARKS.some((mark) => names.includes(mark)) ? 'sam3.1' : 'sam3'
}
