/** Shows a download: a line with a bar per file on a terminal, plain lines elsewhere. On stderr. */
import cliProgress from 'cli-progress'
import { formatBytes } from '../../download/disk-space.js'
import type { PullProgress } from '../../download/types.js'

/** The last words of a download that was ended early. */
export const DOWNLOAD_STOPPED = 'Stopped. What has arrived is kept: the same command continues.'

/** Milliseconds between two plain lines about the same file. */
const PLAIN_INTERVAL = 10_000
const NAME_WIDTH = 18
const BAR_WIDTH = 14

export interface PullView {
  update(progress: PullProgress): void
  stop(): void
}

/** `1 min 5 s` */
export function formatTime(seconds: number): string {
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}

/** `1.2 GB/3.4 GB 35% 98.1 MB/s 22 s left`: short enough for a line of 80 characters, with its bar. */
function describeShortly({ bytes, total, rate }: { bytes: number; total: number; rate: number }): string {
  const percent = total === 0 ? 100 : Math.floor((100 * bytes) / total)
  const speed = rate > 0 && bytes < total ? ` ${formatBytes(rate)}/s ${formatTime((total - bytes) / rate)} left` : ''
  return `${formatBytes(bytes)}/${formatBytes(total)} ${percent}%${speed}`
}

/** A name in exactly `NAME_WIDTH` characters; of a shard's, the end with its number says more than the start. */
function fit(name: string): string {
  return name.length > NAME_WIDTH ? `…${name.slice(1 - NAME_WIDTH)}` : name.padEnd(NAME_WIDTH)
}

/** `1.2 GB of 3.4 GB, 35 %, 98.1 MB/s, 22 s left` */
function describe({ bytes, total, rate }: { bytes: number; total: number; rate: number }): string {
  const percent = total === 0 ? 100 : Math.floor((100 * bytes) / total)
  const speed = rate > 0 && bytes < total ? `, ${formatBytes(rate)}/s, ${formatTime((total - bytes) / rate)} left` : ''
  return `${formatBytes(bytes)} of ${formatBytes(total)}, ${percent} %${speed}`
}

export function startPullView(stream: NodeJS.WriteStream = process.stderr): PullView {
  return stream.isTTY ? barView(stream) : plainView(stream)
}

function plainView(stream: NodeJS.WritableStream): PullView {
  const last = new Map<string, { state: string; time: number }>()
  return {
    update: (progress) => {
      const { file, state, overall } = progress
      const time = performance.now()
      const before = last.get(file)
      if (before?.state === state && time - before.time < PLAIN_INTERVAL) return
      last.set(file, { state, time })
      const all = state === 'done' || state === 'cached' ? '' : ` (all files: ${describe(overall)})`
      stream.write(`${file}: ${state}, ${describe(progress)}${all}\n`)
    },
    stop: () => {},
  }
}

function barView(stream: NodeJS.WriteStream): PullView {
  // Made when there is something to show: a model from the cache must not touch the terminal.
  let bars: cliProgress.MultiBar | undefined
  const options = {
    format: '{name} {bar} {text}',
    barsize: BAR_WIDTH,
    stream,
    hideCursor: true,
    clearOnComplete: false,
  }
  const lines = new Map<string, cliProgress.SingleBar>()
  const show = (name: string, value: number, total: number, text: string) => {
    bars ??= new cliProgress.MultiBar(options, cliProgress.Presets.shades_classic)
    const payload = { name: fit(name), text }
    const line = lines.get(name) ?? bars.create(Math.max(1, total), 0, payload)
    lines.set(name, line)
    line.update(total === 0 ? 1 : value, payload)
  }
  return {
    update: (progress) => {
      const { file, state, bytes, total, overall } = progress
      show('all files', overall.bytes, overall.total, describeShortly(overall))
      const text = describeShortly(progress)
      show(file, bytes, total, state === 'downloading' || state === 'done' ? text : `${state} ${text}`)
    },
    stop: () => bars?.stop(),
  }
}
