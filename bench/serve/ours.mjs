// Our side of the benchmark of the service: `startServer` of the built package in a process of its own.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { megabytes, serve } from '../protocol.mjs'

const RESOLUTION = 10
const loop = monitorEventLoopDelay({ resolution: RESOLUTION })
let server

/** Sum and count of a metric, over all its labels. */
async function totals(names) {
  const { body } = await server.app.inject({ url: '/metrics' })
  return Object.fromEntries(
    names.map((name) => {
      const values = [...body.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))].map(([, value]) =>
        Number(value),
      )
      return [name, values.reduce((sum, value) => sum + value, 0)]
    }),
  )
}

const COUNTED = [
  'sam3_queue_duration_seconds_sum',
  'sam3_queue_duration_seconds_count',
  'sam3_batch_size_sum',
  'sam3_batch_size_count',
]
let before
let cpuBefore

const operations = {
  async load({ options, ...model }) {
    const { startServer } = await import('../../dist/server.js')
    server = await startServer({ ...model, ...options, port: 0 }, { logger: false })
    await server.ready
    loop.enable()
    return { url: server.address }
  },

  /** What is told by `observed` begins here. */
  async observe() {
    loop.reset()
    cpuBefore = process.cpuUsage()
    before = await totals(COUNTED)
    return {}
  },

  /** Memory now, and since `observe`: processor time, the mean wait in the queue, calls in a batch, the delay of the event loop. */
  async observed() {
    const now = await totals(COUNTED)
    const [waited, count, calls, batches] = COUNTED.map((name) => now[name] - before[name])
    const { user, system } = process.cpuUsage(cpuBefore)
    globalThis.gc()
    const { heapUsed, heapTotal } = process.memoryUsage()
    return {
      cpuMs: (user + system) / 1000,
      residentMb: megabytes('VmRSS'),
      heapMb: heapUsed / 2 ** 20,
      spareHeapMb: (heapTotal - heapUsed) / 2 ** 20,
      queueMs: (1000 * waited) / Math.max(1, count),
      batchSize: calls / Math.max(1, batches),
      loopP99Ms: Math.max(0, loop.percentile(99) / 1e6 - RESOLUTION),
    }
  },
}

await serve(operations)
await server?.close()
