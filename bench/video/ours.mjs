// Our side of the video measures: the built library in a process of its own.

import { megabytes, serve } from '../protocol.mjs'
import { noiseFrames } from './clip.mjs'

let model
let session
let frames

const operations = {
  async load({ model: folder, device, dtype, threads }) {
    const { buildSam3VideoModel } = await import('../../dist/index.js')
    model = await buildSam3VideoModel({ model: folder, device, dtype, threads })
    return { startToReadyMs: performance.now() }
  },

  /** A session over the frames of a folder, with one click for each object, or one text. */
  async start({ kind, clip, objects, points, text, options }) {
    await session?.close()
    session = await model.startSession(clip, options)
    const begun = performance.now()
    if (kind === 'clicks') {
      for (let id = 0; id < objects; id += 1) {
        await session.addPoints({ frameIndex: 0, objectId: id, points: [points[id]], labels: [1] })
      }
    } else await session.addPrompt({ frameIndex: 0, text })
    const promptMs = performance.now() - begun
    frames = session.propagate()[Symbol.asyncIterator]()
    return { promptMs }
  },

  /** The next frame, to binary masks at the video's size, and what its stages took. */
  async frame() {
    const before = (await session.stats()).times
    const begun = performance.now()
    const { value } = await frames.next()
    for (const { mask } of value.objects) mask.toBitmap()
    const ms = performance.now() - begun
    const { times } = await session.stats()
    const stages = Object.fromEntries(Object.entries(times).map(([name, total]) => [name, total - before[name]]))
    return { ms, objects: value.tracked, stages }
  },

  /** Ends the session; the bytes that it held. */
  async end() {
    const { hostBytes, deviceBytes } = await session.stats()
    await frames?.return?.()
    await session.close()
    session = undefined
    return { bytes: hostBytes + deviceBytes }
  },

  /** Follows clicked objects through frames of noise and samples the memory on the way. */
  async long({ frames: count, objects, side, history, every }) {
    session = await model.startSession(noiseFrames(count, side), { history, memoryLimit: 2 ** 36 })
    for (let id = 0; id < objects; id += 1) {
      await session.addPoints({ frameIndex: 0, objectId: id, points: [[(side * (id + 1)) / (objects + 1), side / 2]] })
    }
    const curve = []
    const begun = performance.now()
    for await (const { frameIndex } of session.propagate()) {
      if (frameIndex % every !== 0 && frameIndex !== count - 1) continue
      globalThis.gc()
      const { hostBytes, deviceBytes } = await session.stats()
      curve.push({ frame: frameIndex, residentMb: megabytes('VmRSS'), hostBytes, deviceBytes })
    }
    const ms = performance.now() - begun
    await session.close()
    session = undefined
    return { curve, ms }
  },
}

await serve(operations)
await session?.close()
await model?.dispose()
