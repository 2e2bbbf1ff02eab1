/** The categories of a data set: which number stands for which text. */
import { Sam3InputError } from '../base/errors.js'

/** Name of the category of what no text found: exemplars only, clicks, masks. */
export const UNNAMED = 'object'

/** One concept of a data set. */
export interface CocoCategory {
  /** From 1. */
  id: number
  /** The text of the prompt; `'object'` where no text found it. */
  name: string
  /** `'object'` unless it was given. */
  supercategory: string
}

/** A category with the number that it has elsewhere, as in the data set that results are compared with. */
export type CategoryChoice = Pick<CocoCategory, 'id' | 'name'> & Partial<CocoCategory>

/** Texts, which get the ids 1, 2, 3, …, or categories with ids of their own. */
export type Categories = readonly (string | CategoryChoice)[]

/** Numbers texts: as given, or else in the order in which they first appear. */
export class CategoryTable {
  readonly #byName = new Map<string, CocoCategory>()
  readonly #isOpen: boolean

  /** @throws Sam3InputError `ERR_INVALID_ARGUMENT` */
  constructor(given?: Categories, option = 'categories') {
    this.#isOpen = given === undefined
    if (given === undefined) return
    if (!Array.isArray(given)) refuse(`${option} must be a list, not ${typeof given}.`)
    const ids = new Set<number>()
    for (const [index, one] of (given as Categories).entries()) {
      const { id, name, supercategory = UNNAMED } = typeof one === 'string' ? { id: index + 1, name: one } : (one ?? {})
      if (typeof name !== 'string' || name === '') refuse(`${option}[${index}] has no name.`)
      // 0 is "no category" to readers of COCO.
      if (!Number.isSafeInteger(id) || id < 1)
        refuse(`The id of category '${name}' must be a whole number of at least 1.`)
      if (this.#byName.has(name)) refuse(`Two categories are called '${name}'.`)
      if (ids.has(id)) refuse(`Two categories have the id ${id}.`)
      ids.add(id)
      this.#byName.set(name, { id, name, supercategory })
    }
  }

  /** All of them, by their ids where they were not given. */
  get list(): CocoCategory[] {
    return [...this.#byName.values()].map((one) => ({ ...one }))
  }

  /**
   * The id of a text, or of what no text found.
   * @throws Sam3InputError `ERR_INVALID_ARGUMENT` where the categories were given and this is none of them
   */
  idOf(name: string = UNNAMED): number {
    const known = this.#byName.get(name)
    if (known) return known.id
    if (!this.#isOpen) refuse(`'${name}' is none of the categories ${[...this.#byName.keys()].join(', ') || '(none)'}.`)
    const id = this.#byName.size + 1
    this.#byName.set(name, { id, name, supercategory: UNNAMED })
    return id
  }
}

function refuse(message: string): never {
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', message, {
    fix: `List every text once, or { id, name } with ids from 1; what exemplars or clicks find is called '${UNNAMED}'.`,
  })
}
