/** A device with its model: what it has to do, and whether it still can. */
import { type ModelStats, type RawImage, Sam3Error, type Sam3ImageModel } from 'sam3-node'

/** Codes after which the device, or the model on it, answers nobody any more. */
const LOST: readonly string[] = ['ERR_DEVICE_UNAVAILABLE', 'ERR_DISPOSED']
/** Codes that come from the device or from what was asked of it: only another question can tell. */
const DOUBTFUL: readonly string[] = ['ERR_INFERENCE', 'ERR_INTERNAL']
/** Codes of a device that is busy, not broken. */
const BUSY: readonly string[] = ['ERR_OUT_OF_MEMORY', 'ERR_QUEUE_FULL']

const GREY: RawImage = { width: 8, height: 8, channels: 3, data: new Uint8Array(8 * 8 * 3).fill(127) }

/** One device of the service. */
export class Device {
  readonly name: string
  readonly model: Sam3ImageModel
  /** Cost of the work that was handed to it and is not done. */
  load = 0
  /** Why it was taken out. */
  failure: Sam3Error | undefined
  #question: Promise<void> | undefined

  constructor(name: string, model: Sam3ImageModel) {
    this.name = name
    this.model = model
  }

  /** Whether work may be handed to it. */
  get isUsable(): boolean {
    return this.failure === undefined && this.#question === undefined
  }

  /** What the engine counted; undefined where the model has gone. Waits for no work. */
  get stats(): ModelStats | undefined {
    try {
      return this.model.stats()
    } catch {
      return undefined
    }
  }

  /**
   * Whether the device failed, rather than what was asked of it. Where the error does not say, the device is asked
   * something that cannot be wrong; until it answers, it is given nothing else.
   */
  async isLost(error: unknown): Promise<boolean> {
    const code = error instanceof Sam3Error ? error.code : ''
    if (LOST.includes(code)) this.failure ??= error as Sam3Error
    else if (DOUBTFUL.includes(code) && !this.failure) {
      this.#question ??= this.#ask().finally(() => {
        this.#question = undefined
      })
      await this.#question
    }
    return this.failure !== undefined && [...LOST, ...DOUBTFUL].includes(code)
  }

  async #ask(): Promise<void> {
    try {
      const image = await this.model.encode(GREY)
      image.dispose()
    } catch (error) {
      if (error instanceof Sam3Error && !BUSY.includes(error.code)) this.failure = error
    }
  }
}
