/** Pictures and videos from files, the clipboard, or other windows. */
import { addressOf } from './api.js'
import { part } from './dom.js'
import { Picture } from './picture.js'
import { Problem } from './problem.js'
import { openVideo } from './video.js'

/**
 * @param {Blob} file
 * @param {string} name
 * @returns {Promise<Picture | import('./video.js').Video>}
 * @throws {Problem} for what the browser cannot show
 */
export async function openFile(file, name, isExample = false) {
  if (file.type.startsWith('video/')) return openVideo(file, name, isExample)
  try {
    return new Picture(file, name, await createImageBitmap(file), isExample)
  } catch {
    throw new Problem({
      title: 'This cannot be shown',
      detail: `${name} is no picture, or one of a kind that this browser does not know.`,
      fix: 'Take a JPEG, PNG, WebP, GIF or AVIF.',
    })
  }
}

/** What comes with the service. @param {'example.jpg' | 'example.webm'} file @param {string} name */
export async function openExample(file, name) {
  const answer = await fetch(addressOf(`page/${file}`))
  return openFile(await answer.blob(), name, true)
}

/**
 * Calls `open` with each file that a person drops, pastes or chooses.
 * @param {(file: Blob, name: string) => void} open
 * @param {(problem: Problem) => void} refuse
 */
export function watchFiles(open, refuse) {
  /** @param {DataTransfer | null} data */
  const take = (data) => {
    const file = data?.files[0]
    if (file) open(file, file.name || 'picture.png')
    return file !== undefined
  }
  const root = document.documentElement
  let depth = 0
  const mark = () => root.classList.toggle('dropping', depth > 0)
  document.addEventListener('dragenter', () => {
    depth++
    mark()
  })
  document.addEventListener('dragleave', () => {
    depth--
    mark()
  })
  document.addEventListener('dragover', (event) => event.preventDefault())
  document.addEventListener('drop', (event) => {
    event.preventDefault()
    depth = 0
    mark()
    if (take(event.dataTransfer)) return
    refuse(
      new Problem({
        title: 'No file in it',
        detail: 'What was dropped is text or an address, not a file.',
        fix: 'Save the picture first, or copy it and paste it here.',
      }),
    )
  })
  document.addEventListener('paste', (event) => {
    if (take(event.clipboardData)) event.preventDefault()
  })
  const input = part('file', HTMLInputElement)
  input.addEventListener('change', () => {
    const file = input.files?.[0]
    if (file) open(file, file.name)
    input.value = '' // the same file may be chosen again
  })
  for (const id of ['choose', 'other']) part(id, HTMLButtonElement).addEventListener('click', () => input.click())
}
