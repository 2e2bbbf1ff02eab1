// Our side of the benchmark: the built library in a process of its own.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { root } from '../scripts/support/command.mjs'
import { megabytes, serve } from './protocol.mjs'

let model

/** Asks for all texts at once, and reads the masks of the best instances at the image's own size. */
async function segment(image, texts, maxInstances) {
  const begun = performance.now()
  const results = await model.segment(image, { text: texts, threshold: 0, maxInstances })
  const counts = results.map(({ instances }) => {
    for (const { mask } of instances) mask.toBitmap()
    return instances.length
  })
  return { ms: performance.now() - begun, instances: counts }
}

const operations = {
  async load({ model: folder, device, dtype, threads }) {
    const { buildSam3ImageModel } = await import('../dist/index.js')
    const imported = performance.now()
    model = await buildSam3ImageModel({ model: folder, device, dtype, threads })
    const ready = performance.now()
    return { ms: ready - imported, startToReadyMs: ready }
  },

  segment: ({ image, texts, instances }) => segment(readFileSync(image), texts, instances),

  /** How late timers fire while an image is segmented: the delay beyond the sampling interval, in ms. */
  async eventLoop({ image, text, instances }) {
    const resolution = 10
    const data = readFileSync(image)
    const histogram = monitorEventLoopDelay({ resolution })
    histogram.enable()
    const { ms } = await segment(data, [text], instances)
    histogram.disable()
    const delay = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - resolution)
    return {
      ms,
      p50Ms: delay(histogram.percentile(50)),
      p99Ms: delay(histogram.percentile(99)),
      maxMs: delay(histogram.max),
      samples: histogram.count,
    }
  },

  /** Resident memory before and after many calls. */
  async growth({ image, texts, instances, calls }) {
    const data = readFileSync(image)
    const round = async (count) => {
      for (let i = 0; i < count; i += 1) await segment(data, [texts[i % texts.length]], instances)
      globalThis.gc()
    }
    // The allocators and V8 reach their working size within the first calls.
    await round(Math.ceil(calls / 5))
    const beforeMb = megabytes('VmRSS')
    await round(calls)
    return { calls, beforeMb, afterMb: megabytes('VmRSS'), heapMb: process.memoryUsage().heapUsed / 2 ** 20 }
  },

  /** The way to the engine's thread and back, with nothing to do there: the binding alone, one call after the other. */
  async overhead({ model: folder, calls }) {
    const { native, stop } = await bareModel(folder)
    for (let i = 0; i < 1000; i += 1) await native.encode([])
    const begun = performance.now()
    for (let i = 0; i < calls; i += 1) await native.encode([])
    const us = ((performance.now() - begun) * 1000) / calls
    await native.dispose()
    stop()
    return { calls, us }
  },
}

/** A model without the library around it, as lib/native makes one. */
async function bareModel(folder) {
  const require = createRequire(import.meta.url)
  const loader = require('node-gyp-build')(root)
  loader.open(path.join(process.env.LIBTORCH, 'lib', 'libtorch.so'))
  const engine = { exports: {} }
  process.dlopen(engine, path.join(root, 'build/Release/libsam3_engine.so'))
  const file = (name) => path.join(root, folder, name)
  const files = { program: file('program.pt'), names: file('names.json'), weights: file('model.safetensors') }
  const native = await engine.exports.load({ ...files, device: 'cpu', dtype: 'float32', threads: 1 })
  return { native, stop: () => engine.exports.stop() }
}

await serve(operations)
await model?.dispose()
