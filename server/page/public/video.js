/** A video that is asked about: a session of the service, and what it has said of each frame. */
import { addressOf, forget, hasToken, post, postForLines } from './api.js'
import { TOLERANCE } from './find-mode.js'
import { openMovie } from './movie.js'
import { Problem } from './problem.js'
import { shapeOf } from './shapes.js'
import { asCurlOfVideo, asTypeScriptOfVideo } from './video-code.js'

/** @typedef {import('./subject.js').Outcome} Outcome */
/** @typedef {import('./subject.js').Mode} Mode */
/** @typedef {import('./subject.js').Subject} Subject */
/**
 * @typedef {{ id: number, prompt?: string, promptIndex?: number, score: number, box: import('./shapes.js').Box,
 *   polygons: import('./shapes.js').Polygon[] }} Found
 */

/** The object that clicks are on; those of words are counted from below. */
const PICKED = 1000
const FORMAT = { format: 'polygons', tolerance: Number(TOLERANCE) }

/** @param {Blob} file @param {string} name @throws {Problem} for what the browser cannot play */
export async function openVideo(file, name, isExample = false) {
  return new Video(file, name, await openMovie(file, name), isExample)
}

/** @implements {Subject} */
export class Video {
  isVideo = /** @type {const} */ (true)
  #file
  /** Its name at the service. @type {string | undefined} */
  #id
  /** What was asked with words: how, and the service's number of it. @type {Map<string, { index: number, body: object }>} */
  #prompts = new Map()
  /** The last clicks that were sent. @type {object | undefined} */
  #clicks
  /** Frames that something was asked on. @type {Set<number>} */
  #asked = new Set()
  /** @type {string[]} */
  #warnings = []
  /** What is on each frame, as far as it is known. @type {Map<number, Found[]>} */
  frames = new Map()
  /** Objects that are not shown. @type {Set<number>} */
  #hidden = new Set()
  /** What is being taken back. @type {Promise<unknown>} */
  #tidying = Promise.resolve()

  /** @param {Blob} file @param {string} name @param {import('./movie.js').Movie} movie */
  constructor(file, name, movie, isExample = false) {
    this.#file = file
    this.name = name
    this.isExample = isExample
    this.movie = movie
    this.pixels = movie.element
    this.width = movie.width
    this.height = movie.height
  }

  /** Whether there is something to follow. */
  get isAsked() {
    return this.#prompts.size > 0 || this.#clicks !== undefined
  }

  /** Objects of the whole video, in the order of their colours. */
  get objects() {
    return [...new Set([...this.frames.values()].flatMap((found) => found.map(({ id }) => id)))].sort((a, b) => a - b)
  }

  /**
   * Asks on the frame that is shown.
   * @param {Mode} mode
   * @param {AbortSignal} signal
   */
  async ask(mode, signal) {
    await this.#tidying
    try {
      await this.#ask(mode, signal)
    } catch (error) {
      // Nobody used the session for a while.
      if (!(error instanceof Problem) || error.said.code !== 'ERR_NOT_FOUND') throw error
      this.#lose()
      await this.#ask(mode, signal)
    }
  }

  /** Sends the video, after which its frames are counted. @param {AbortSignal} signal */
  async begin(signal) {
    this.#id ??= await this.#start(signal)
  }

  /** @param {Mode} mode @param {AbortSignal} signal */
  async #ask(mode, signal) {
    await this.begin(signal)
    if (mode.id === 'find') await this.#find(/** @type {import('./find-mode.js').FindMode} */ (mode), signal)
    else await this.#pick(/** @type {import('./pick-mode.js').PickMode} */ (mode), signal)
  }

  /** @param {AbortSignal} signal */
  async #start(signal) {
    const form = new FormData()
    form.append('history', 'full') // any frame can be asked at any time
    form.append('video', this.#file, this.name)
    const { id, frameCount, frameRate } = await post('v1/sessions', form, signal)
    this.movie.measure(frameCount, frameRate)
    return id
  }

  /** Takes back words that are no longer asked, and asks those that are new. @param {import('./find-mode.js').FindMode} mode @param {AbortSignal} signal */
  async #find({ words, boxes }, signal) {
    const exemplars =
      boxes.length > 0 ? { boxes: boxes.map(({ box, isPositive }) => ({ box, label: Number(isPositive) })) } : {}
    const wanted = (words.length > 0 ? words.map((text) => ({ text })) : [{}]).map((one) => ({ ...one, ...exemplars }))
    const keys = wanted.map((one) => JSON.stringify(one))
    for (const [key, { index }] of this.#prompts) if (!keys.includes(key)) await this.#takeBack(key, index)
    for (const [at, one] of wanted.entries()) {
      const key = /** @type {string} */ (keys[at])
      if (this.#prompts.has(key)) continue
      const body = { frameIndex: this.movie.index, ...one }
      const { promptIndex, warnings } = await this.#prompt(body, signal)
      this.#prompts.set(key, { index: promptIndex, body })
      this.#warnings.push(...warnings)
    }
  }

  /** @param {import('./pick-mode.js').PickMode} mode @param {AbortSignal} signal */
  async #pick({ points, boxes }, signal) {
    const clicks = points.length > 0 && {
      points: points.map(({ point }) => point),
      labels: points.map(({ isPositive }) => Number(isPositive)),
    }
    const box = boxes[0] && { box: boxes[0].box }
    const body = { frameIndex: this.movie.index, objectId: PICKED, ...clicks, ...box }
    await this.#prompt(body, signal)
    this.#clicks = body
  }

  /** @param {{ frameIndex: number }} body @param {AbortSignal} signal */
  async #prompt(body, signal) {
    const answer = await post(`v1/sessions/${this.#id}/prompts`, { ...body, ...FORMAT }, signal)
    const ids = answer.objects.map((/** @type {Found} */ { id }) => id)
    const others = (this.frames.get(body.frameIndex) ?? []).filter(({ id }) => !ids.includes(id))
    this.frames.set(body.frameIndex, [...others, ...answer.objects])
    this.#asked.add(body.frameIndex)
    return answer
  }

  /**
   * Follows the objects through the whole video.
   * @param {AbortSignal} signal
   * @param {(frameIndex: number) => void} onFrame
   */
  async follow(signal, onFrame) {
    await this.#tidying
    const first = Math.min(...this.#asked)
    const way = first > 0 ? { direction: 'both', startFrame: first } : {}
    for await (const line of postForLines(`v1/sessions/${this.#id}/propagate`, { ...way, ...FORMAT }, signal)) {
      if (line.type === 'error') throw new Problem(line.problem)
      if (line.type !== 'frame') continue
      this.frames.set(line.frameIndex, line.objects)
      onFrame(line.frameIndex)
    }
  }

  /** @param {Mode} mode */
  forget(mode) {
    if (mode.id === 'find') for (const [key, { index }] of this.#prompts) void this.#takeBack(key, index)
    else if (this.#clicks) {
      this.#clicks = undefined
      void this.#drop(`objects/${PICKED}`, ({ id }) => id === PICKED)
    }
    if (!this.isAsked) this.#asked.clear()
  }

  /** @param {string} key @param {number} index */
  #takeBack(key, index) {
    this.#prompts.delete(key)
    return this.#drop(`prompts/${index}`, ({ promptIndex }) => promptIndex === index)
  }

  /** @param {string} what @param {(found: Found) => boolean} isOfIt */
  #drop(what, isOfIt) {
    for (const [index, found] of this.frames)
      this.frames.set(
        index,
        found.filter((one) => !isOfIt(one)),
      )
    const [before, path] = [this.#tidying, `v1/sessions/${this.#id}/${what}`]
    this.#tidying = before.then(() => forget(path))
    return this.#tidying
  }

  #lose() {
    this.#id = undefined
    this.#prompts.clear()
    this.#clicks = undefined
    this.#asked.clear()
    this.#warnings = []
    this.frames.clear()
  }

  /**
   * What is on the frame that is shown: of all that was asked, whichever way.
   * @param {Mode} mode
   * @returns {Outcome | undefined}
   */
  outcome(mode) {
    if (!this.isAsked) return undefined
    const { objects } = this
    const found = this.frames.get(this.movie.index) ?? []
    const name = (/** @type {Found} */ { id, prompt }) => (id === PICKED ? 'picked' : `${prompt ?? 'like it'} ${id}`)
    const shapes = found.map((one) => ({
      ...shapeOf(one, name(one), objects.indexOf(one.id)),
      isShown: !this.#hidden.has(one.id),
    }))
    const isKnown = this.frames.has(this.movie.index)
    const missing = mode.id === 'find' && isKnown ? /** @type {import('./find-mode.js').FindMode} */ (mode).words : []
    const about = { address: addressOf('v1/sessions'), name: this.name, hasToken: hasToken() }
    const prompts = [...[...this.#prompts.values()].map(({ body }) => body), ...(this.#clicks ? [this.#clicks] : [])]
    return {
      shapes,
      notes: [
        ...(isKnown ? [] : ['This frame was not looked at yet: follow the objects to it.']),
        ...missing
          .filter((word) => !found.some(({ prompt }) => prompt === word))
          .map((word) => `No “${word}” on this frame.`),
        ...this.#warnings,
      ],
      answer: [...this.frames].sort(([a], [b]) => a - b).map(([frameIndex, all]) => ({ frameIndex, objects: all })),
      listing: (language) => (language === 'curl' ? asCurlOfVideo : asTypeScriptOfVideo)(prompts, about),
    }
  }

  /** @param {Mode} _mode @param {readonly number[]} indices of the shapes of this frame */
  show(_mode, indices) {
    for (const [at, { id }] of (this.frames.get(this.movie.index) ?? []).entries()) {
      if (indices.includes(at)) this.#hidden.delete(id)
      else this.#hidden.add(id)
    }
  }

  close() {
    if (this.#id !== undefined) void forget(`v1/sessions/${this.#id}`)
    this.#id = undefined
    this.movie.close()
  }
}
