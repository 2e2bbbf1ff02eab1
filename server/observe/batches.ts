/**
 * Spans of the engine's batches. A batch works for several requests, so that it is a trace of its own: it has links to the
 * spans of its requests, they have links to it, and the stages of the network lie under it.
 */
import { type Link, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api'
import type { CallReport, CallSpan } from 'sam3-node'
import { BATCH_STAGES, type BatchStage, type Metrics } from './metrics.js'
import { tracer } from './trace.js'

/** Milliseconds after which a batch is told without the calls that say nothing of it: they were given up. */
const PATIENCE = 5000

/** A batch of which not all calls have told yet. */
interface Open {
  left: number
  span: Span | undefined
  end: number
  timer: NodeJS.Timeout
}

type Stage = CallSpan & { stage: BatchStage }

export class Batches {
  readonly #metrics: Metrics
  /** By device and number. */
  readonly #open = new Map<string, Open>()

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  /** What a call is to tell its stages to; it belongs to the span that runs now. */
  listener(device: string): (report: CallReport) => void {
    const request = trace.getActiveSpan()
    return (report) => {
      const stages = report.stages.filter((one): one is Stage => BATCH_STAGES.some((name) => name === one.stage))
      this.#time(stages)
      this.#join(device, { ...report, stages }, stages, request)
    }
  }

  #time(stages: readonly Stage[]): void {
    const sums = new Map<BatchStage, number>()
    for (const { stage, start, end } of stages) sums.set(stage, (sums.get(stage) ?? 0) + end - start)
    for (const [stage, ms] of sums) this.#metrics.stages.observe({ stage }, ms / 1000)
  }

  #join(device: string, report: CallReport, stages: readonly Stage[], request: Span | undefined): void {
    const key = `${device} ${report.batch}`
    const open = this.#open.get(key) ?? this.#begin(key, report.calls)
    if (request?.isRecording() && stages.length > 0) {
      const link: Link = { context: request.spanContext() }
      if (open.span) open.span.addLink(link)
      else [open.span, open.end] = [spanOf(device, report, stages, link), Math.max(...stages.map(({ end }) => end))]
      request.addLink({ context: open.span.spanContext() })
    }
    if (--open.left === 0) this.#end(key)
  }

  #begin(key: string, calls: number): Open {
    const timer = setTimeout(() => this.#end(key), PATIENCE)
    timer.unref()
    const open: Open = { left: calls, span: undefined, end: 0, timer }
    this.#open.set(key, open)
    return open
  }

  #end(key: string): void {
    const { span, end, timer } = this.#open.get(key)!
    clearTimeout(timer)
    this.#open.delete(key)
    span?.end(timeOf(end))
  }
}

/** From `performance.now()` to the time of day. */
const timeOf = (ms: number) => performance.timeOrigin + ms

/** The span of a batch, and those of its stages, which have ended. */
function spanOf(device: string, { calls, images }: CallReport, stages: readonly Stage[], link: Link): Span {
  const attributes = { 'sam3.device': device, 'sam3.batch.calls': calls, 'sam3.batch.images': images }
  const startTime = timeOf(Math.min(...stages.map(({ start }) => start)))
  const span = tracer().startSpan('sam3.batch', { startTime, attributes, links: [link] }, ROOT_CONTEXT)
  const own = trace.setSpan(ROOT_CONTEXT, span)
  for (const { stage, start, end } of stages)
    tracer()
      .startSpan(`sam3.${stage}`, { startTime: timeOf(start) }, own)
      .end(timeOf(end))
  return span
}
