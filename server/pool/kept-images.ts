/** Images whose features stay on the device, under names that cannot be guessed; the one used longest ago goes first. */
import { randomUUID } from 'node:crypto'
import { type EncodedImage, type Sam3ImageModel, Sam3ServiceError } from 'sam3-node'
import type { Metrics } from '../observe/metrics.js'

/** An image, and the model that has its features. */
export interface KeptImage {
  readonly image: EncodedImage
  readonly model: Sam3ImageModel
}

/** Lends an image to a request: it stays until `release`, whatever happens to its name. */
export interface Lent extends KeptImage {
  release(): void
}

interface Entry extends KeptImage {
  bytes: number
  uses: number
  isGone: boolean
}

export class KeptImages {
  readonly #budget: number
  readonly #metrics: Metrics
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>()
  #bytes = 0

  /** @param budget Bytes that all images together may take. */
  constructor(budget: number, metrics: Metrics) {
    this.#budget = budget
    this.#metrics = metrics
  }

  /**
   * Whether an image of this model can be kept at all.
   * @throws Sam3ServiceError `ERR_TOO_LARGE`
   */
  checkFits(bytes: number): void {
    if (bytes <= this.#budget) return
    throw new Sam3ServiceError('ERR_TOO_LARGE', `An image takes ${bytes} bytes; this service keeps ${this.#budget}.`, {
      fix: 'Send the image with each request, or raise image-cache-bytes.',
    })
  }

  /** Keeps an image; others may have to go for it. @returns its name */
  add(kept: KeptImage): string {
    const bytes = kept.model.info.featureBytes
    for (const [id, entry] of this.#entries) {
      if (this.#bytes + bytes <= this.#budget) break
      this.#drop(id, entry)
    }
    const id = randomUUID()
    this.#entries.set(id, { ...kept, bytes, uses: 0, isGone: false })
    this.#bytes += bytes
    return id
  }

  /** @throws Sam3ServiceError `ERR_NOT_FOUND` */
  lend(id: string): Lent {
    const entry = this.#entries.get(id)
    this.#metrics.cache.inc({ cache: 'images', outcome: entry ? 'hit' : 'miss' })
    if (!entry) throw gone()
    this.#entries.delete(id)
    this.#entries.set(id, entry)
    entry.uses++
    const release = () => {
      entry.uses--
      if (entry.isGone && entry.uses === 0) entry.image.dispose()
    }
    return { image: entry.image, model: entry.model, release }
  }

  /** Forgets an image. @throws Sam3ServiceError `ERR_NOT_FOUND` */
  delete(id: string): void {
    const entry = this.#entries.get(id)
    if (!entry) throw gone()
    this.#drop(id, entry)
  }

  /** Forgets all images, or those of one model. */
  clear(model?: Sam3ImageModel): void {
    for (const [id, entry] of this.#entries) if (model === undefined || entry.model === model) this.#drop(id, entry)
  }

  #drop(id: string, entry: Entry): void {
    this.#entries.delete(id)
    this.#bytes -= entry.bytes
    entry.isGone = true
    if (entry.uses === 0) entry.image.dispose()
  }
}

function gone(): Sam3ServiceError {
  return new Sam3ServiceError(
    'ERR_NOT_FOUND',
    'There is no such image: it was never here, was deleted, or had to make room.',
    {
      fix: 'Send it again with POST /v1/images.',
    },
  )
}
