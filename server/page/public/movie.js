/** A video file in the browser: any frame of it by its number, and played. */
import { make } from './dom.js'
import { Problem } from './problem.js'

/** Frames a second, until the service has said what they are. */
const USUAL_RATE = 25

/**
 * @param {Blob} file
 * @param {string} name
 * @returns {Promise<Movie>}
 * @throws {Problem} for what the browser cannot play
 */
export async function openMovie(file, name) {
  const element = make('video', { src: URL.createObjectURL(file), muted: true, playsInline: true, preload: 'auto' })
  try {
    await new Promise((resolve, reject) => {
      element.onloadeddata = resolve
      element.onerror = reject
    })
  } catch {
    URL.revokeObjectURL(element.src)
    throw new Problem({
      title: 'This cannot be played',
      detail: `${name} is no video, or one of a kind that this browser does not know.`,
      fix: 'Take an MP4 (H.264) or WebM. The service itself reads everything that ffmpeg reads.',
    })
  }
  return new Movie(element)
}

export class Movie {
  index = 0
  rate = USUAL_RATE
  /** Called when another frame is there to be drawn. @type {() => void} */
  onFrame = () => {}
  /** Called when it begins or ends to play. @type {() => void} */
  onPlay = () => {}
  #isSeeking = false

  /** @param {HTMLVideoElement} element */
  constructor(element) {
    this.element = element
    this.width = element.videoWidth
    this.height = element.videoHeight
    this.count = Math.max(1, Math.round(element.duration * this.rate))
    for (const event of ['play', 'pause', 'ended']) element.addEventListener(event, () => this.onPlay())
  }

  get isPlaying() {
    return !this.element.paused && !this.element.ended
  }

  /** @param {number | undefined} count @param {number | undefined} rate as the service has counted; undefined: it does not know */
  measure(count, rate = this.rate) {
    const { currentTime, duration } = this.element
    this.rate = rate
    this.count = count ?? Math.max(1, Math.round(duration * rate))
    this.index = this.#numberAt(currentTime)
  }

  /** @param {number} time seconds, within a frame */
  #numberAt(time) {
    return Math.min(this.count - 1, Math.max(0, Math.floor(time * this.rate + 1e-3)))
  }

  /** Shows a frame; of several wishes the last one holds. @param {number} index */
  async seek(index) {
    this.element.pause()
    this.index = Math.min(this.count - 1, Math.max(0, index))
    if (this.#isSeeking) return
    this.#isSeeking = true
    let target
    do {
      target = this.index
      this.element.currentTime = (target + 0.5) / this.rate
      await new Promise((resolve) => this.element.addEventListener('seeked', resolve, { once: true }))
      this.onFrame()
    } while (target !== this.index)
    this.#isSeeking = false
  }

  play() {
    const tell = () => {
      if (!this.isPlaying) return
      this.element.requestVideoFrameCallback((_now, { mediaTime }) => {
        if (!this.isPlaying) return
        this.index = this.#numberAt(mediaTime)
        this.onFrame()
        tell()
      })
    }
    void this.element.play().then(tell)
  }

  /** Stands still, at the frame that is seen. */
  pause() {
    void this.seek(this.index)
  }

  close() {
    this.element.pause()
    URL.revokeObjectURL(this.element.src)
    this.element.removeAttribute('src')
  }
}
