/** Questions about a picture, which the service looks at once and keeps for further ones. */
import { forget, post } from './api.js'
import { Problem } from './problem.js'

/** @typedef {import('./picture.js').Picture} Picture */

/** Pictures that the service keeps, by the ids that it gave them. @type {Map<Picture, string>} */
const kept = new Map()

/**
 * Asks about a picture.
 * @param {import('./api.js').Request} request
 * @param {Picture} picture
 * @param {AbortSignal} signal
 * @returns {Promise<any>} the JSON of the answer
 * @throws {Problem}; the reason of the signal
 */
export async function ask({ path, fields }, picture, signal) {
  const form = new FormData()
  for (const { name, value } of fields) form.append(name, value)
  for (;;) {
    const isNew = !kept.has(picture)
    const id = kept.get(picture) ?? (await keep(picture, signal))
    form.delete('image')
    if (id === undefined) form.append('image', picture.file, picture.name)
    else form.append('image', JSON.stringify({ id }))
    try {
      return await post(path, form, signal)
    } catch (error) {
      // It was used longest ago when another needed its room.
      const isGone = error instanceof Problem && error.said.code === 'ERR_NOT_FOUND' && id !== undefined
      if (!isGone || isNew) throw error
      kept.delete(picture)
    }
  }
}

/**
 * @param {Picture} picture
 * @param {AbortSignal} signal
 * @returns {Promise<string | undefined>} undefined where the service has no room for it
 */
async function keep(picture, signal) {
  const form = new FormData()
  form.append('image', picture.file, picture.name)
  try {
    const { id } = await post('v1/images', form, signal)
    kept.set(picture, id)
    return id
  } catch (error) {
    // It has no room for features; or the picture itself is too large, which it says again when it is asked.
    if (error instanceof Problem && error.said.code === 'ERR_TOO_LARGE') return undefined
    throw error
  }
}

/** The service may forget all pictures but one. @param {Picture | undefined} picture */
export function keepOnly(picture) {
  for (const [one, id] of kept) {
    if (one === picture) continue
    kept.delete(one)
    forget(`v1/images/${id}`)
  }
}
addEventListener('pagehide', () => keepOnly(undefined))
