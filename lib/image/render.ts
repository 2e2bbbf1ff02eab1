/** Pictures that sharp makes of our own pixels. */
import { Sam3RuntimeError } from '../base/errors.js'

/** Our own pixels may be more than sharp opens of a stranger's file. */
export const OWN_PIXELS = { limitInputPixels: false } as const

/**
 * Waits for a picture. What sharp says where it fails is not passed on, as it may be about, and name, an image of
 * another call.
 * @param what As in "The mask as PNG could not be made."
 * @throws Sam3RuntimeError `ERR_OUT_OF_MEMORY`, the only reason left for sharp to fail on pixels of the right size
 */
export async function rendered<T>(picture: Promise<T>, what: string): Promise<T> {
  try {
    return await picture
  } catch {
    throw new Sam3RuntimeError('ERR_OUT_OF_MEMORY', `${what} could not be made.`, {
      fix: 'Make it smaller, or fewer at a time.',
    })
  }
}
