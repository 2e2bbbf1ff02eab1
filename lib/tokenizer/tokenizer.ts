/** The text side of a prompt: a sentence in, a row of token ids out. CLIP byte-pair encoding, 49408 tokens. */
import { Tokenizer } from '@huggingface/tokenizers'
import { Sam3ModelError } from '../base/errors.js'
import { cleanText } from './clean.js'
import type { KnownWords } from './words.js'

/** One prompt as the text encoder takes it. */
export interface TokenRow {
  /** As many ids as the network takes: start, text, end, then 0 as padding. Shared between calls: do not write to it. */
  ids: Int32Array
  /** How many of them are not padding; 2 when the text was blank. */
  length: number
  /** True when the text was longer than the row and its end was cut off. */
  truncated: boolean
}

/** Rows that are remembered: services ask for the same few phrases over and over. */
const REMEMBERED_ROWS = 1000

/** The names by which the reference tokenizer recognises its two special tokens inside a text. */
const SPECIAL = /(<start_of_text>|<end_of_text>)/

interface TokenizerJson {
  model?: { type?: string; vocab?: Record<string, number> }
  added_tokens?: unknown
  normalizer?: unknown
  post_processor?: unknown
}

/** Splits prompts into the token ids of SAM 3's text encoder. */
export class TextTokenizer {
  readonly #bpe: Tokenizer
  readonly #start: number
  readonly #end: number
  readonly #contextLength: number
  readonly #rows = new Map<string, TokenRow>()
  /** The words that the model was trained on, where they are listed. */
  readonly words: KnownWords | undefined

  /**
   * @param json The text of a `tokenizer.json` (Hugging Face tokenizers format, CLIP byte-level BPE).
   * @param contextLength Tokens in one row, start and end token included.
   * @param source Where it came from, for the error text.
   * @param words Of the same model.
   * @throws Sam3ModelError `ERR_MODEL_FORMAT` when it is not one.
   */
  constructor(json: string, contextLength: number, source = 'tokenizer.json', words?: KnownWords) {
    this.#contextLength = contextLength
    this.words = words
    let definition: TokenizerJson
    try {
      definition = JSON.parse(json) as TokenizerJson
    } catch (cause) {
      throw invalidTokenizer(source, 'it is not valid JSON', cause)
    }
    const vocab = definition.model?.vocab
    const start = vocab?.['<|startoftext|>']
    const end = vocab?.['<|endoftext|>']
    if (definition.model?.type !== 'BPE' || start === undefined || end === undefined) {
      throw invalidTokenizer(source, 'it is not a CLIP byte-pair encoding with <|startoftext|> and <|endoftext|>')
    }
    this.#start = start
    this.#end = end
    try {
      // Cleaning, special tokens and the row's frame are the reference's and live in this file. What stays for
      // the library is the split into words and the merges.
      this.#bpe = new Tokenizer({ ...definition, added_tokens: [], normalizer: null, post_processor: null }, {})
    } catch (cause) {
      throw invalidTokenizer(source, 'its pre-tokenizer or model is not supported', cause)
    }
  }

  /** Cleans and encodes one prompt. Never fails: too long a text is cut, its last token then is the end token. */
  encode(text: string): TokenRow {
    const known = this.#rows.get(text)
    if (known) return known
    const row = this.#encode(text)
    // The oldest row makes room; a long text is not worth the memory of its key.
    if (this.#rows.size >= REMEMBERED_ROWS) this.#rows.delete(this.#rows.keys().next().value!)
    if (text.length <= 1000) this.#rows.set(text, row)
    return row
  }

  #encode(text: string): TokenRow {
    const ids = [this.#start]
    for (const piece of cleanText(text).split(SPECIAL)) {
      if (piece === '<start_of_text>') ids.push(this.#start)
      else if (piece === '<end_of_text>') ids.push(this.#end)
      else if (piece !== '') ids.push(...this.#bpe.encode(piece, { add_special_tokens: false }).ids)
    }
    ids.push(this.#end)

    const most = this.#contextLength
    const truncated = ids.length > most
    const row = new Int32Array(most)
    row.set(ids.slice(0, most))
    if (truncated) row[most - 1] = this.#end
    return { ids: row, length: Math.min(ids.length, most), truncated }
  }
}

function invalidTokenizer(source: string, reason: string, cause?: unknown): Sam3ModelError {
  return new Sam3ModelError('ERR_MODEL_FORMAT', `${source} cannot be used as the tokenizer of SAM 3: ${reason}.`, {
    cause,
    fix: 'Use the tokenizer.json of the facebook/sam3 repository.',
  })
}
