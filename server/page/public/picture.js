/** A picture that is asked about. The service looks at it once, and keeps what it saw for further questions. */
import { addressOf, forget, hasToken, post } from './api.js'
import { asCurl, asTypeScript } from './code.js'
import { MASK_FILE } from './pick-mode.js'
import { Problem } from './problem.js'

/** @typedef {import('./subject.js').Outcome} Outcome */
/** @typedef {import('./subject.js').Mode} Mode */
/** @typedef {import('./subject.js').Subject} Subject */

/** @implements {Subject} */
export class Picture {
  isVideo = /** @type {const} */ (false)
  #file
  /** The name that the service gave to what it keeps. @type {string | undefined} */
  #kept
  /** @type {Map<Mode, Outcome>} */
  #outcomes = new Map()

  /**
   * @param {Blob} file
   * @param {string} name
   * @param {ImageBitmap} bitmap
   * @param {boolean} isExample
   */
  constructor(file, name, bitmap, isExample) {
    this.#file = file
    this.name = name
    this.pixels = bitmap
    this.width = bitmap.width
    this.height = bitmap.height
    this.isExample = isExample
  }

  /** @param {Mode} mode */
  outcome(mode) {
    return this.#outcomes.get(mode)
  }

  /** @param {Mode} mode */
  forget(mode) {
    this.#outcomes.delete(mode)
  }

  /** @param {Mode} mode @param {readonly number[]} indices */
  show(mode, indices) {
    for (const [index, shape] of (this.outcome(mode)?.shapes ?? []).entries()) shape.isShown = indices.includes(index)
    if ('chosen' in mode) mode.chosen = indices[0] ?? 0
  }

  /** @param {Mode} mode @param {AbortSignal} signal */
  async ask(mode, signal) {
    const request = mode.request()
    const answer = await this.#post(request, signal)
    const { shapes, notes } = mode.read(answer)
    const about = { address: addressOf(request.path), name: this.name, hasToken: hasToken() }
    this.#outcomes.set(mode, {
      shapes: shapes.map((shape, index) => ({ ...shape, isShown: mode.kind === 'any' || index === 0 })),
      notes,
      answer,
      listing: (language) => (language === 'curl' ? asCurl : asTypeScript)(request, about),
      mask: request.fields.find(({ file }) => file === MASK_FILE)?.value,
    })
  }

  /**
   * @param {import('./api.js').Request} request
   * @param {AbortSignal} signal
   */
  async #post({ path, fields }, signal) {
    const form = new FormData()
    for (const { name, value } of fields) form.append(name, value)
    for (;;) {
      const isNew = this.#kept === undefined
      if (isNew) this.#kept = await this.#keep(signal)
      const id = this.#kept
      form.delete('image')
      if (id === undefined) form.append('image', this.#file, this.name)
      else form.append('image', JSON.stringify({ id }))
      try {
        return await post(path, form, signal)
      } catch (error) {
        // It was used longest ago when another needed its room.
        const isGone = error instanceof Problem && error.said.code === 'ERR_NOT_FOUND' && id !== undefined
        if (!isGone || isNew) throw error
        this.#kept = undefined
      }
    }
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<string | undefined>} undefined where the service has no room for it
   */
  async #keep(signal) {
    const form = new FormData()
    form.append('image', this.#file, this.name)
    try {
      return (await post('v1/images', form, signal)).id
    } catch (error) {
      // It has no room for features; or the picture itself is too large, which it says again when it is asked.
      if (error instanceof Problem && error.said.code === 'ERR_TOO_LARGE') return undefined
      throw error
    }
  }

  close() {
    if (this.#kept !== undefined) void forget(`v1/images/${this.#kept}`)
    this.#kept = undefined
  }
}
