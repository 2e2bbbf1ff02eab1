/** A device with its model: what it has to do, and whether it still can. */
import {
  type ModelStats,
  type RawImage,
  Sam3AbortError,
  Sam3EnvironmentError,
  Sam3Error,
  type Sam3ImageModel,
} from 'sam3-node'
import { abortable } from '../../lib/base/wake.js'

/** Codes after which the device, or the model on it, answers nobody any more. */
const LOST: readonly string[] = ['ERR_DEVICE_UNAVAILABLE', 'ERR_DISPOSED']
/** Codes that come from the device or from what was asked of it: only another question can tell. */
const DOUBTFUL: readonly string[] = ['ERR_INFERENCE', 'ERR_INTERNAL']
/** Codes of a device that is busy, not broken. */
const BUSY: readonly string[] = ['ERR_OUT_OF_MEMORY', 'ERR_QUEUE_FULL']

const GREY: RawImage = { width: 8, height: 8, channels: 3, data: new Uint8Array(8 * 8 * 3).fill(127) }

/** Milliseconds in which a GPU says something, however large its batch is. */
const GPU_TIMEOUT = 30_000

/** Whether a device works: `lost` after a failure that it told, `stalled` when it fell silent. */
export type DeviceState = 'works' | 'lost' | 'stalled'

/** One device of the service. */
export class Device {
  readonly name: string
  readonly model: Sam3ImageModel
  /** Cost of the work that was handed to it and is not done. */
  load = 0
  /** Told once, when it is taken out. */
  onOut: () => void = () => {}
  /** Told when it can be given work again after a doubt. */
  onUsable: () => void = () => {}
  #silence: number
  #isStalled = false
  #question: Promise<void> | undefined
  /** Fires when it is taken out; its reason is why. */
  readonly #out = new AbortController()
  #inHand = 0
  #timer: NodeJS.Timeout | undefined

  /**
   * @param timeoutMs Milliseconds after which it is taken out where it has work and answers nothing; 0: never. Default: 30 s
   * of a GPU, never of a CPU, where a large batch takes minutes.
   */
  constructor(name: string, model: Sam3ImageModel, timeoutMs?: number) {
    this.name = name
    this.model = model
    this.#silence = timeoutMs ?? (model.info.device === 'cpu' ? 0 : GPU_TIMEOUT)
  }

  /** Why it was taken out. */
  get failure(): Sam3Error | undefined {
    return this.#out.signal.reason as Sam3Error | undefined
  }

  get state(): DeviceState {
    if (!this.failure) return 'works'
    return this.#isStalled ? 'stalled' : 'lost'
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
   * Waits for work of its model, and takes the device out where it stays silent meanwhile.
   * @throws `failure` when the device is taken out first; what the work throws
   */
  async watch<T>(work: Promise<T>): Promise<T> {
    if (this.#inHand++ === 0) this.#heard()
    let hasAnswered = true
    try {
      return await abortable(work, this.#out.signal)
    } catch (error) {
      if (this.failure) throw this.failure
      hasAnswered = !(error instanceof Sam3AbortError) // work that waits can be given up without the device
      throw error
    } finally {
      this.#inHand--
      if (hasAnswered || this.#inHand === 0) this.#heard()
    }
  }

  /**
   * Whether the device failed, rather than what was asked of it. Where the error does not say, the device is asked
   * something that cannot be wrong; until it answers, it is given nothing else.
   */
  async isLost(error: unknown): Promise<boolean> {
    const code = error instanceof Sam3Error ? error.code : ''
    if (LOST.includes(code)) this.#takeOut(error as Sam3Error)
    else if (DOUBTFUL.includes(code) && !this.failure) await this.#ask()
    return this.failure !== undefined && [...LOST, ...DOUBTFUL].includes(code)
  }

  /** Stops watching it: its model is being freed. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#silence = 0
  }

  #ask(): Promise<void> {
    this.#question ??= this.#answer().finally(() => {
      this.#question = undefined
      if (this.isUsable) this.onUsable()
    })
    return this.#question
  }

  async #answer(): Promise<void> {
    const answer = this.model.encode(GREY)
    answer.then((image) => image.dispose()).catch(() => {})
    try {
      await this.watch(answer)
    } catch (error) {
      if (error instanceof Sam3Error && !BUSY.includes(error.code)) this.#takeOut(error)
    }
  }

  /** It said something: silence begins anew, where it has more to do. */
  #heard(): void {
    clearTimeout(this.#timer)
    if (this.#inHand > 0 && this.#silence > 0 && !this.failure)
      this.#timer = setTimeout(() => this.#doubt(), this.#silence / 2)
  }

  /** Work may be slow before it reaches the device, as a video that is opened is: the device itself is asked. */
  #doubt(): void {
    this.#timer = setTimeout(() => {
      const seconds = this.#silence / 1000
      this.#isStalled = true
      this.#takeOut(
        new Sam3EnvironmentError('ERR_DEVICE_UNAVAILABLE', `Device '${this.name}' said nothing for ${seconds} s.`, {
          fix: "Look at the driver's log (nvidia-smi, dmesg), and start the service anew.",
        }),
      )
    }, this.#silence / 2)
    void this.#ask()
  }

  #takeOut(failure: Sam3Error): void {
    if (this.failure) return
    clearTimeout(this.#timer)
    this.#out.abort(failure)
    this.onOut()
  }
}
