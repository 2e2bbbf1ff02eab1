/**
 * Spans for OpenTelemetry: of each request and of its parts, under what the client's W3C trace context names. Without an SDK
 * in the process they cost nothing and go nowhere.
 */
import {
  type Attributes,
  type Context,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'

export const tracer = () => trace.getTracer('sam3-node')

/** The span of a request, and the context in which its work runs. */
export interface RequestTrace {
  readonly span: Span
  readonly context: Context
}

/** Begins the span of a request. No attribute holds what its client wrote: `route` is a pattern. */
export function beginRequest(headers: object, method: string, route: string): RequestTrace {
  const parent = propagation.extract(context.active(), headers)
  const attributes: Attributes = { 'http.request.method': method, 'http.route': route }
  const span = tracer().startSpan(`${method} ${route}`, { kind: SpanKind.SERVER, attributes }, parent)
  return { span, context: trace.setSpan(parent, span) }
}

/** Runs work within a request's span. */
export function within<T>({ context: own }: RequestTrace, work: () => Promise<T>): Promise<T> {
  return context.with(own, work)
}

export function endRequest({ span }: RequestTrace, status: number): void {
  span.setAttribute('http.response.status_code', status)
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
  span.end()
}

/** Begins a span within the one that runs. */
export const beginSpan = (name: string): Span => tracer().startSpan(name)

/** Runs work in a span of its own, within the one that runs. */
export async function inSpan<T>(name: string, work: () => Promise<T>): Promise<T> {
  return tracer().startActiveSpan(name, async (span) => {
    try {
      return await work()
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      span.end()
    }
  })
}
