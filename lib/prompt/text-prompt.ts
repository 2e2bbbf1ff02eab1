/** A user's text and exemplar prompts, checked and turned into what the engine takes. */
import { Sam3InputError } from '../base/errors.js'
import type { ConceptPrompt } from '../native/contract.js'
import type { TextTokenizer } from '../tokenizer/tokenizer.js'
import { shown } from '../base/shown.js'
import { checkBoolean, checkKeys, checkThreshold, checkWholeNumber } from '../base/checks.js'
import { type ImageSize, toPixelBox } from '../geometry/coordinates.js'
import { toLabel } from './labels.js'
import { isOneRow, toRows } from '../geometry/numbers.js'
import type { BoxPrompt, Prompt, PromptInput, PromptList, Prompts } from './types.js'

/** The text that the network was trained to read as "look at the exemplars". */
export const EXEMPLARS_ONLY_TEXT = 'visual'
/** What the reference hands the network in its place in videos of SAM 3.1. */
export const MULTIPLEX_EXEMPLARS_ONLY_TEXT = '<text placeholder>'
/** Start and end token, and nothing between them. */
const BLANK_LENGTH = 2
/** Score above which an instance is kept, as in the reference. */
export const DEFAULT_THRESHOLD = 0.5

const PROMPT_KEYS = ['text', 'boxes', 'threshold', 'maxInstances', 'semantic', 'logits', 'normalized'] as const

/** A prompt ready for the engine. */
export interface PreparedPrompt {
  native: ConceptPrompt & { hasText: boolean }
  /** The user's text, if there was one. */
  text: string | undefined
  warnings: string[]
}

/** One prompt, its text list spelt out, or a list of prompts: always as a list, and whether the user gave a list. */
export function expandPrompts(input: Prompts): {
  prompts: Prompt[]
  isList: boolean
} {
  if (Array.isArray(input)) {
    return { prompts: (input as readonly PromptInput[]).map(asPrompt), isList: true }
  }
  if (typeof input === 'object' && input !== null && 'text' in input && Array.isArray(input.text)) {
    const { text, ...settings } = input as PromptList
    return { prompts: text.map((one) => ({ ...settings, text: one })), isList: true }
  }
  return { prompts: [asPrompt(input as PromptInput)], isList: false }
}

function asPrompt(input: PromptInput): Prompt {
  const prompt = typeof input === 'string' ? { text: input } : input
  checkKeys(prompt, PROMPT_KEYS, 'A prompt')
  return prompt
}

/**
 * Checks a prompt against the image it is for, and tokenizes it.
 * @param standIn what stands for a text where there is none
 * @throws Sam3InputError `ERR_EMPTY_PROMPT`, `ERR_INVALID_BOX`, `ERR_INVALID_THRESHOLD`, `ERR_INVALID_ARGUMENT`
 */
export function preparePrompt(
  prompt: Prompt,
  size: ImageSize,
  tokenizer: TextTokenizer,
  standIn: string = EXEMPLARS_ONLY_TEXT,
): PreparedPrompt {
  const text = checkText(prompt.text)
  const boxes = toRows(prompt.boxes ?? [], 4)
  if (!boxes || isOneRow(boxes, 4)) {
    const got = boxes ? `one box ${shown(boxes)}` : shown(prompt.boxes)
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `boxes must be a list of boxes, not ${got}.`, {
      fix: 'Pass boxes: [{ box: [x0, y0, x1, y1] }], or boxes: [[x0, y0, x1, y1]].',
    })
  }
  if (text === undefined && boxes.length === 0) {
    throw new Sam3InputError('ERR_EMPTY_PROMPT', 'The prompt has neither a text nor a box.', {
      fix: "Pass { text: 'a noun phrase' }, { boxes: [{ box: [x0, y0, x1, y1] }] }, or both.",
    })
  }
  const row = tokenizer.encode(text ?? standIn)
  if (row.length === BLANK_LENGTH) {
    throw new Sam3InputError('ERR_EMPTY_PROMPT', 'The text of the prompt is blank.', {
      fix: 'Pass a short noun phrase, or leave the text out when the prompt has boxes.',
    })
  }
  const native: PreparedPrompt['native'] = {
    ids: row.ids,
    // As in the reference, its own word for "look at the exemplars" is no text.
    hasText: text !== undefined && text !== EXEMPLARS_ONLY_TEXT,
    threshold: checkThreshold(prompt.threshold ?? DEFAULT_THRESHOLD),
    semantic: checkBoolean(prompt.semantic, 'semantic'),
    logits: checkBoolean(prompt.logits, 'logits'),
    ...prepareBoxes(boxes, size, checkBoolean(prompt.normalized, 'normalized')),
  }
  const maxInstances = checkWholeNumber(prompt.maxInstances, 'maxInstances', 1)
  if (maxInstances !== undefined) native.maxInstances = maxInstances
  const warnings = []
  if (row.truncated)
    warnings.push(`The text was cut off: only its first ${row.ids.length - 2} tokens were read. Use a shorter phrase.`)
  const { words } = tokenizer
  if (words && text !== undefined && native.hasText && !words.has(text))
    warnings.push(`This model does not know ${shown(text)}. The words that it was trained on are in ${words.source}.`)
  return { native, text, warnings }
}

function checkText(text: unknown): string | undefined {
  if (text === undefined) return undefined
  if (typeof text !== 'string') {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `The text of a prompt must be a string, not ${shown(text)}.`, {
      fix: 'Pass a short noun phrase.',
    })
  }
  return text
}

function prepareBoxes(
  boxes: readonly unknown[],
  size: ImageSize,
  normalized: boolean,
): Pick<ConceptPrompt, 'boxes' | 'labels'> {
  if (boxes.length === 0) return {}
  const corners = new Float64Array(boxes.length * 4)
  const labels = new Int32Array(boxes.length)
  boxes.forEach((entry, index) => {
    const name = boxes.length > 1 ? `Box ${index}` : 'The box'
    const { box, label } = isBoxPrompt(entry, name) ? entry : { box: entry, label: undefined }
    corners.set(toPixelBox(box, size, normalized, name), index * 4)
    labels[index] = toLabel(label, name.toLowerCase())
  })
  return { boxes: corners, labels }
}

/** Whether an entry is `{ box, label }` rather than a box, whatever form that has. */
function isBoxPrompt(entry: unknown, name: string): entry is BoxPrompt {
  if (typeof entry !== 'object' || entry === null || !('box' in entry || 'label' in entry)) return false
  checkKeys(entry, ['box', 'label'], name)
  return true
}
