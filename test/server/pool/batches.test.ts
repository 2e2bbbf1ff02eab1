/** Spans of batches whose calls do not all tell of them. */
import { trace } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { CallReport, CallStage } from '../../../lib/index.js'
import { Batches } from '../../../server/observe/batches.js'
import { Metrics } from '../../../server/observe/metrics.js'

const exporter = new InMemorySpanExporter()
beforeEach(() => {
  vi.useFakeTimers()
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
})
afterEach(() => {
  trace.disable()
  exporter.reset()
  vi.useRealTimers()
})

const report = (batch: number, calls: number, ...stages: CallStage[]): CallReport => ({
  batch,
  calls,
  images: calls,
  stages: stages.map((stage, at) => ({ stage, start: at, end: at + 1 })),
})
const names = () => exporter.getFinishedSpans().map(({ name }) => name)

/** A listener whose call runs in a span. */
function listen(batches: Batches, device: string) {
  const span = trace.getTracer('test').startSpan('request')
  vi.spyOn(trace, 'getActiveSpan').mockReturnValueOnce(span)
  return batches.listener(device)
}

it('ends with its last call; batches of another device are others', () => {
  const batches = new Batches(new Metrics())
  const [a, b, other] = ['cuda:0', 'cuda:0', 'cuda:1'].map((device) => listen(batches, device))
  a!(report(1, 2, 'queue', 'encode'))
  other!(report(1, 1, 'queue', 'detect'))
  expect(names()).toEqual(['sam3.encode', 'sam3.detect', 'sam3.batch'])
  b!(report(1, 2, 'queue', 'encode'))
  expect(names()).toEqual(['sam3.encode', 'sam3.detect', 'sam3.batch', 'sam3.batch'])
  expect(exporter.getFinishedSpans().map(({ links }) => links.length)).toEqual([0, 0, 1, 2])
})

it('ends without calls that were given up', () => {
  const batches = new Batches(new Metrics())
  listen(batches, 'cuda:0')(report(7, 3, 'queue', 'encode', 'masks'))
  expect(names()).not.toContain('sam3.batch')
  vi.advanceTimersByTime(60_000)
  expect(names()).toContain('sam3.batch')
})

it('is told of nowhere where no request is traced, or the network had nothing to do; times are counted all the same', async () => {
  const metrics = new Metrics()
  const batches = new Batches(metrics)
  batches.listener('cpu')(report(1, 1, 'queue', 'encode', 'encode'))
  listen(batches, 'cpu')(report(2, 1, 'queue'))
  expect(names()).toEqual([])
  const told = await metrics.registry.metrics()
  expect(told).toContain('sam3_stage_duration_seconds_count{stage="encode"} 1\n')
  expect(told).toContain('sam3_stage_duration_seconds_sum{stage="encode"} 0.002\n')
})
