/** Words: those that are typed, those that are suggested, and those that the model knows. */
import { make, part } from './dom.js'

const input = part('words', HTMLInputElement)

/** What is typed, each phrase once. */
export const typedWords = () => [
  ...new Set(
    input.value
      .split(',')
      .map((word) => word.trim().replaceAll(/\s+/g, ' '))
      .filter(Boolean),
  ),
]

/** @param {string} word */
function toggle(word) {
  const words = typedWords()
  const rest = words.filter((one) => one !== word)
  input.value = (rest.length < words.length ? rest : [...words, word]).join(', ')
  markAll()
}

/** Shows which of the offered words are typed. */
function markAll() {
  const words = typedWords()
  for (const button of document.querySelectorAll('.words button'))
    button.setAttribute('aria-pressed', String(words.includes(button.textContent ?? '')))
}
input.addEventListener('input', markAll)

/**
 * Buttons that put a word into the field, or take it out.
 * @param {HTMLUListElement} place
 * @param {readonly string[]} words
 * @param {() => void} [onChange]
 */
export function offerWords(place, words, onChange) {
  const button = (/** @type {string} */ word) =>
    make('button', {
      type: 'button',
      textContent: word,
      onclick: () => {
        toggle(word)
        onChange?.()
      },
    })
  place.replaceChildren(...words.map((word) => make('li', {}, button(word))))
  place.hidden = words.length === 0
  markAll()
}
