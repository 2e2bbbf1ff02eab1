/** The timeline of a video: which frame is seen, and which objects are on which frames. */
import { part } from './dom.js'
import { colorOf } from './shapes.js'

const place = part('timeline', HTMLDivElement)
const slider = part('frame-slider', HTMLInputElement)
const play = part('play', HTMLButtonElement)
const number = part('frame-number', HTMLOutputElement)
const tracks = part('tracks', HTMLCanvasElement)

/** Height of the line of an object, and from one to the next, in pixels of the screen. */
const LINE = 4
const PITCH = 7
/** Most lines; further objects are followed all the same. */
const MOST_LINES = 8

/** @type {import('./video.js').Video | undefined} */
let video

/** @param {import('./video.js').Video | undefined} next undefined: there is no video */
export function useTimeline(next) {
  video = next
  place.hidden = next === undefined
  if (next) next.movie.onPlay = tellPlay
  tellPlay()
  drawTimeline()
}

slider.addEventListener('input', () => void video?.movie.seek(Number(slider.value)))
play.addEventListener('click', () => {
  if (!video) return
  if (video.movie.isPlaying) video.movie.pause()
  else video.movie.play()
})

function tellPlay() {
  const isPlaying = video?.movie.isPlaying ?? false
  play.ariaLabel = isPlaying ? 'Pause' : 'Play'
  play.classList.toggle('pauses', isPlaying)
}

/** Brings it up to date with the video. */
export function drawTimeline() {
  if (!video) return
  const { index, count, rate } = video.movie
  slider.max = String(count - 1)
  slider.value = String(index)
  slider.setAttribute('aria-valuetext', `frame ${index + 1} of ${count}, ${(index / rate).toFixed(2)} seconds`)
  number.value = `${index + 1} / ${count}`
  drawTracks(video)
}

/** @param {import('./video.js').Video} video */
function drawTracks({ frames, objects, movie }) {
  const shown = objects.slice(0, MOST_LINES)
  const high = shown.length === 0 ? 0 : (shown.length - 1) * PITCH + LINE
  tracks.style.height = `${high}px`
  const scale = devicePixelRatio
  tracks.width = tracks.clientWidth * scale
  tracks.height = high * scale
  const context = tracks.getContext('2d')
  if (!context) return
  const wide = tracks.width / movie.count
  for (const [line, id] of shown.entries()) {
    context.fillStyle = colorOf(line)
    for (const [index, found] of frames)
      if (found.some((one) => one.id === id))
        context.fillRect(Math.floor(index * wide), line * PITCH * scale, Math.ceil(wide), LINE * scale)
  }
}
new ResizeObserver(drawTimeline).observe(place)
