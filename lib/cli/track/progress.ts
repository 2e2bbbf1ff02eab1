/** Shows how far the tracking of a video has come: a bar on a terminal, a line now and then elsewhere. On stderr. */
import cliProgress from 'cli-progress'
import { formatTime } from '../pull-progress.js'

/** Milliseconds between two plain lines. */
const PLAIN_INTERVAL = 10_000
/** The speed is that of the last frames, so that the time left follows a change. */
const SPEED_FRAMES = 20

export interface TrackView {
  /** So many frames were read, so many objects are on the last one of which the result has come. */
  update(frames: number, objects: number | undefined): void
  stop(): void
}

/** `4.2 fps`, or what one frame takes where that is long. */
export function formatSpeed(framesPerSecond: number): string {
  if (!Number.isFinite(framesPerSecond) || framesPerSecond <= 0) return ''
  return framesPerSecond >= 1 ? `${framesPerSecond.toFixed(1)} fps` : `${(1 / framesPerSecond).toFixed(1)} s a frame`
}

/** @param total Frames that are to be tracked, or undefined where it is not known. */
export function startTrackView(total: number | undefined, stream: NodeJS.WriteStream = process.stderr): TrackView {
  const times: number[] = []
  const speed = () => (times.length < 2 ? 0 : ((times.length - 1) * 1000) / (times.at(-1)! - times[0]!))
  const describe = (frames: number, objects: number | undefined) => {
    const left = total !== undefined && speed() > 0 ? `${formatTime((total - frames) / speed())} left` : ''
    const seen = objects === undefined ? '' : `${objects} object${objects === 1 ? '' : 's'}`
    return [formatSpeed(speed()), left, seen].filter(Boolean).join(', ')
  }
  const view = stream.isTTY ? barView(total, stream) : plainView(total, stream)
  let done = 0
  let stopped = false
  return {
    update: (frames, objects) => {
      if (stopped) return
      if (frames > done) times.push(performance.now())
      if (times.length > SPEED_FRAMES) times.shift()
      done = frames
      view.show(frames, () => describe(frames, objects))
    },
    stop: () => {
      if (!stopped) view.stop()
      stopped = true
    },
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
