/** Shows how far the tracking of a video has come: a bar on a terminal, a line now and then elsewhere. On stderr. */
import cliProgress from 'cli-progress'
import { formatTime } from '../common/pull-progress.js'

/** Milliseconds between two plain lines. */
const PLAIN_INTERVAL = 10_000
/** The speed is that of the last frames, so that the time left follows a change. */
const SPEED_FRAMES = 20

/** `4.2 fps`, or what one frame takes where that is long. */
export function formatSpeed(framesPerSecond: number): string {
  if (!Number.isFinite(framesPerSecond) || framesPerSecond <= 0) return ''
  return framesPerSecond >= 1 ? `${framesPerSecond.toFixed(1)} fps` : `${(1 / framesPerSecond).toFixed(1)} s a frame`
}

/** How far the tracking of a video has come. Nothing is shown before it begins and after it has stopped. */
export class TrackView {
  readonly #stream: NodeJS.WriteStream
  readonly #times: number[] = []
  #shown: Shown | undefined
  #total: number | undefined
  #frames = 0
  /** Unknown until the first result, which comes after the hotstart delay. */
  #objects: number | undefined

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream
  }

  /** @param total Frames that are to be tracked, or undefined where it is not known. */
  begin(total: number | undefined): void {
    this.#total = total
    this.#shown = this.#stream.isTTY ? barView(total, this.#stream) : plainView(total, this.#stream)
  }

  /** So many frames were read. */
  read(frames: number): void {
    if (!this.#shown) return
    if (frames > this.#frames) this.#times.push(performance.now())
    if (this.#times.length > SPEED_FRAMES) this.#times.shift()
    this.#frames = frames
    this.#shown.show(frames, () => this.#describe())
  }

  /** So many objects are on the last frame of which the result has come. */
  found(objects: number): void {
    this.#objects = objects
  }

  stop(): void {
    this.#shown?.stop()
    this.#shown = undefined
  }

  #describe(): string {
    const [times, objects, total] = [this.#times, this.#objects, this.#total]
    const speed = times.length < 2 ? 0 : ((times.length - 1) * 1000) / (times.at(-1)! - times[0]!)
    const left = total !== undefined && speed > 0 ? `${formatTime((total - this.#frames) / speed)} left` : ''
    const seen = objects === undefined ? '' : `${objects} object${objects === 1 ? '' : 's'}`
    return [formatSpeed(speed), left, seen].filter(Boolean).join(', ')
  }
}

interface Shown {
  show(frames: number, text: () => string): void
  stop(): void
}

function plainView(total: number | undefined, stream: NodeJS.WritableStream): Shown {
  let last = performance.now()
  return {
    show: (frames, text) => {
      if (performance.now() - last < PLAIN_INTERVAL) return
      last = performance.now()
      stream.write(`frame ${frames}${total === undefined ? '' : ` of ${total}`}: ${text()}\n`)
    },
    stop: () => {},
  }
}

function barView(total: number | undefined, stream: NodeJS.WriteStream): Shown {
  const format = total === undefined ? ' {value} frames  {text}' : ' {bar} {value}/{total} frames  {text}'
  const bar = new cliProgress.SingleBar(
    { format, stream, hideCursor: true, barsize: 24 },
    cliProgress.Presets.shades_classic,
  )
  bar.start(total ?? 0, 0, { text: '' })
  return {
    show: (frames, text) => bar.update(frames, { text: text() }),
    stop: () => bar.stop(),
  }
}
