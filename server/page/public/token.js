/** The dialog in which a token is typed. */
import { part } from './dom.js'

const dialog = part('token-dialog', HTMLDialogElement)
const input = part('token', HTMLInputElement)
const text = part('token-text', HTMLParagraphElement)
const [first, again] = [
  text.textContent ?? '',
  'The service does not know this token. Look at it again: every letter counts.',
]

part('token-cancel', HTMLButtonElement).addEventListener('click', () => dialog.close())

/**
 * @param {boolean} wasWrong a token was given before, and refused
 * @returns {Promise<string | undefined>} undefined: the person would rather not
 */
export function askToken(wasWrong) {
  text.textContent = wasWrong ? again : first
  input.value = ''
  dialog.returnValue = ''
  dialog.showModal()
  const form = part('token-form', HTMLFormElement)
  /** @type {string | undefined} */
  let given
  const keep = () => {
    given = input.value.trim()
  }
  form.addEventListener('submit', keep)
  return new Promise((resolve) => {
    const done = () => {
      form.removeEventListener('submit', keep)
      input.value = ''
      resolve(given || undefined)
    }
    dialog.addEventListener('close', done, { once: true })
  })
}
