/** What the service tells of itself: metrics, logs, traces; and what it keeps to itself. */
import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type Context,
  context,
  type ContextManager,
  propagation,
  ROOT_CONTEXT,
  type TextMapPropagator,
  trace,
} from '@opentelemetry/api'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { demoService, form, picture, type TestService } from './support.js'

const SECRET = 'a-text-that-nobody-else-may-see'
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'

const hrTimeToMilliseconds = ([seconds, nanoseconds]: readonly [number, number]) => seconds * 1e3 + nanoseconds / 1e6

const exporter = new InMemorySpanExporter()
/** What an SDK for Node brings: the context follows the promises. */
class Contexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>()
  active = () => this.#storage.getStore() ?? ROOT_CONTEXT
  with: ContextManager['with'] = (own, work, self, ...args) => this.#storage.run(own, () => work.apply(self, args))
  bind: ContextManager['bind'] = (_own, target) => target
  enable = () => this
  disable = () => this
}

/** What an SDK brings for W3C trace context, as far as a server needs it. */
const traceContext: TextMapPropagator<Record<string, string>> = {
  inject: () => {},
  fields: () => ['traceparent'],
  extract: (own, headers) => {
    const [, traceId = '', spanId = '', flags] = headers.traceparent?.split('-') ?? []
    return traceId === ''
      ? own
      : trace.setSpanContext(own, { traceId, spanId, traceFlags: Number(flags), isRemote: true })
  },
}

let service: TestService
beforeAll(async () => {
  context.setGlobalContextManager(new Contexts())
  propagation.setGlobalPropagator(traceContext)
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  service = await demoService({ tokens: ['open-sesame'] })
  await service.server.app.inject({
    method: 'POST',
    url: `/v1/segment?text=${SECRET}`,
    payload: picture,
    headers: {
      authorization: 'Bearer open-sesame',
      'content-type': 'image/jpeg',
      'x-request-id': 'request-7',
      traceparent: `00-${TRACE}-${PARENT}-01`,
    },
  })
  const broken = form(['image', Buffer.from(SECRET)], ['text', SECRET])
  const headers = { ...broken.headers, authorization: 'Bearer open-sesame' }
  await service.server.app.inject({ method: 'POST', url: '/v1/segment', ...broken, headers })
  await service.server.app.inject({
    method: 'POST',
    url: `/v1/${SECRET}`,
    headers: { authorization: `Bearer ${SECRET}` },
  })
})
afterAll(async () => {
  await service.server.close()
  for (const api of [trace, context, propagation]) api.disable()
})

const metrics = async () =>
  (await service.server.app.inject({ url: '/metrics', headers: { authorization: 'Bearer open-sesame' } })).body

describe('metrics', () => {
  it('have the names, units and labels that others look for', async () => {
    const body = await metrics()
    for (const series of [
      'sam3_requests_total{endpoint="/v1/segment",status="200"} 1',
      'sam3_requests_total{endpoint="/v1/segment",status="422"} 1',
      'sam3_requests_total{endpoint="none",status="401"} 1',
      'sam3_request_duration_seconds_count{endpoint="/v1/segment"} 2',
      'sam3_queue_duration_seconds_count 1',
      'sam3_queue_size{priority="normal"} 0',
      'sam3_stage_duration_seconds_count{stage="decode"} 2',
      'sam3_stage_duration_seconds_count{stage="engine"} 1',
      'sam3_stage_duration_seconds_count{stage="prepare"} 1',
      'sam3_stage_duration_seconds_count{stage="encode"} 1',
      'sam3_stage_duration_seconds_count{stage="detect"} 1',
      'sam3_stage_duration_seconds_count{stage="masks"} 1',
      'sam3_stage_duration_seconds_count{stage="encode_output"} 1',
      'sam3_cache_requests_total{cache="images",outcome="hit"} 0',
      'sam3_requests_rejected_total{reason="queue_full"} 0',
      'sam3_batch_size_sum 1',
      'sam3_batch_size_count 1',
      'sam3_requests_in_progress 1',
    ])
      expect(body.split('\n')).toContain(series)
    expect(body).toMatch(/^sam3_device_busy_seconds_total\{device="\w+"\} 0\.\d+$/m)
    expect(body).toMatch(/^sam3_model_info\{device="\w+",dtype="\w+",input_size="224"\} 1$/m)
  })
})

describe('spans', () => {
  it('of a request lie under what the client names, its parts under it', () => {
    const spans = exporter.getFinishedSpans()
    const root = spans.find(({ parentSpanContext }) => parentSpanContext?.spanId === PARENT)!
    expect(root).toMatchObject({ name: 'POST /v1/segment', attributes: { 'http.response.status_code': 200 } })
    const parts = spans.filter(({ parentSpanContext }) => parentSpanContext?.spanId === root.spanContext().spanId)
    expect(parts.map(({ name }) => name)).toEqual(['sam3.decode', 'sam3.queue', 'sam3.engine', 'sam3.encode_output'])
    for (const span of parts) expect(span.spanContext().traceId).toBe(TRACE)
  })
})

describe('a batch', () => {
  // Four are handed over together: while the engine begins with the first, the others come.
  let joining: TestService
  beforeAll(async () => {
    joining = await demoService({ maxBatchSize: 4, maxQueueDelayMs: 60_000 })
  })
  afterAll(() => joining.server.close())

  it('has links to the requests that it works for, they have links to it, and its stages lie under it', async () => {
    exporter.reset()
    const headers = { 'content-type': 'image/jpeg' }
    const ask = { method: 'POST', url: '/v1/segment?text=cup', payload: picture, headers } as const
    await Promise.all(Array.from({ length: 4 }, () => joining.server.app.inject(ask)))
    const spans = exporter.getFinishedSpans()
    const [batches, engine] = ['sam3.batch', 'sam3.engine'].map((name) => spans.filter((span) => span.name === name))
    const idsOf = (list: readonly ReadableSpan[]) => list.map((span) => span.spanContext().spanId)
    const linked = (span: ReadableSpan) => span.links.map(({ context }) => context.spanId)
    expect(batches!.flatMap(linked).toSorted()).toEqual(idsOf(engine!).toSorted())
    expect(Math.max(...batches!.map(({ links }) => links.length))).toBeGreaterThan(1)
    for (const batch of batches!) {
      expect(batch.parentSpanContext).toBeUndefined()
      expect(batch.attributes).toMatchObject({
        'sam3.batch.calls': batch.links.length,
        'sam3.device': expect.anything(),
      })
      const own = engine!.filter((span) => linked(batch).includes(span.spanContext().spanId))
      for (const span of own) expect(linked(span)).toEqual(idsOf([batch]))
      const stages = spans.filter(({ parentSpanContext }) => parentSpanContext?.spanId === batch.spanContext().spanId)
      expect([...new Set(stages.map(({ name }) => name))]).toEqual(
        ['prepare', 'encode', 'detect', 'masks'].map((name) => `sam3.${name}`),
      )
      const [from, to] = [batch.startTime, batch.endTime].map(hrTimeToMilliseconds)
      expect(Math.min(...stages.map(({ startTime }) => hrTimeToMilliseconds(startTime)))).toBe(from)
      expect(Math.max(...stages.map(({ endTime }) => hrTimeToMilliseconds(endTime)))).toBe(to)
      // The clock of the engine is that of the spans: a batch is run while its requests are in the engine.
      for (const { startTime } of own) expect(hrTimeToMilliseconds(startTime)).toBeLessThan(to!)
      expect(Math.max(...own.map(({ endTime }) => hrTimeToMilliseconds(endTime)))).toBeGreaterThanOrEqual(to! - 1)
    }
  })
})

it('neither metrics nor logs nor spans hold what a client wrote, or its token', async () => {
  const spans = exporter.getFinishedSpans().map(({ name, attributes, events }) => ({ name, attributes, events }))
  const told = JSON.stringify([await metrics(), service.log, spans])
  for (const secret of [SECRET, 'open-sesame']) expect(told).not.toContain(secret)
})

it('a line of the log has the request, its trace and its end', () => {
  const line = service.log.find(({ reqId, msg }) => reqId === 'request-7' && msg === 'answered')
  expect(line).toMatchObject({ traceId: TRACE, endpoint: '/v1/segment', method: 'POST', status: 200 })
  expect(line!.ms).toBeGreaterThan(0)
})
