/** The words that a small model was trained on, where its folder lists them: `words.json`. */
import { cleanText } from './clean.js'

/** The content of a `words.json`. */
interface WordsJson {
  format: 'sam3-words/1'
  /** What may stand before a phrase. */
  articles: readonly string[]
  /** A list for each concept: its usual name, plurals and synonyms. */
  words: readonly (readonly string[])[]
}

/** Every phrase that a model knows. */
export class KnownWords {
  /** Where the list is. */
  readonly source: string
  readonly #phrases: ReadonlySet<string>
  readonly #articles: readonly string[]

  /** Reads the text of a `words.json`; undefined where it is another file of that name. */
  static read(json: string, source: string): KnownWords | undefined {
    try {
      const content = JSON.parse(json) as WordsJson
      return content.format === 'sam3-words/1' ? new KnownWords(content, source) : undefined
    } catch {
      return undefined
    }
  }

  private constructor({ articles, words }: WordsJson, source: string) {
    this.source = source
    this.#phrases = new Set(words.flat())
    this.#articles = articles.map((article) => `${article} `)
  }

  /** Whether a phrase, with or without an article, is on the list. */
  has(text: string): boolean {
    const phrase = cleanText(text)
    const article = this.#articles.find((one) => phrase.startsWith(one)) ?? ''
    return this.#phrases.has(phrase) || this.#phrases.has(phrase.slice(article.length))
  }
}
