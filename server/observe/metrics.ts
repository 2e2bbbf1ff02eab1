/** What the service counts and times, for Prometheus: seconds and bytes, and no label that holds a text of a client. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { CallStage } from 'sam3-node'
import { inSpan } from './trace.js'

/** From a click on features that are there to a batch of large images on a CPU. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180]

/** Parts of a request that the service itself does or waits for. */
const OWN_STAGES = ['decode', 'engine', 'encode_output'] as const
export type Stage = (typeof OWN_STAGES)[number]

/** What the engine does for the requests of a batch; they lie within `engine`. */
export const BATCH_STAGES = ['prepare', 'encode', 'detect', 'masks'] as const satisfies CallStage[]
export type BatchStage = (typeof BATCH_STAGES)[number]

/** Why a request was not served. */
export const REASONS = [
  'queue_full',
  'timeout',
  'cancelled',
  'rate_limited',
  'limit',
  'unavailable',
  'backend',
] as const
export type RejectionReason = (typeof REASONS)[number]

/** Answers of a cache. */
export const OUTCOMES = ['hit', 'miss'] as const

/** The service's own metrics; each instance of the service has its own. */
export class Metrics {
  readonly registry = new Registry()
  readonly requests = this.#counter('sam3_requests_total', 'Requests answered.', ['endpoint', 'status'])
  readonly duration = this.#histogram('sam3_request_duration_seconds', 'From the head of a request to its answer.', [
    'endpoint',
  ])
  readonly inProgress = this.#gauge('sam3_requests_in_progress', 'Requests that are being answered.')
  readonly rejected = this.#counter('sam3_requests_rejected_total', 'Requests that were not served.', ['reason'])
  readonly queueSize = this.#gauge('sam3_queue_size', 'Work that waits for the model.', ['priority'])
  readonly queueDuration = this.#histogram('sam3_queue_duration_seconds', 'How long work waited for the model.', [])
  readonly stages = this.#histogram('sam3_stage_duration_seconds', 'Where the time of a request goes.', ['stage'])
  readonly cache = this.#counter('sam3_cache_requests_total', 'Images asked for by their handle.', ['cache', 'outcome'])
  readonly cacheBytes = this.#gauge('sam3_cache_bytes', 'Bytes that the features of kept images take.', ['cache'])
  readonly deviceUp = this.#gauge('sam3_device_up', '1 while a device works, 0 once it was taken out.', ['device'])
  readonly deviceBusy = this.#counter('sam3_device_busy_seconds_total', 'Seconds in which a device had work.', [
    'device',
  ])
  readonly gpuMemory = this.#gauge('sam3_gpu_memory_bytes', "What LibTorch holds of a GPU's memory.", [
    'device',
    'kind',
  ])
  readonly devicesLost = this.#counter('sam3_devices_lost_total', 'Devices that were taken out.', ['reason'])
  readonly sessions = this.#gauge('sam3_sessions', 'Video sessions that are open.')
  readonly info = this.#gauge('sam3_model_info', 'Always 1; its labels say what runs.', [
    'device',
    'dtype',
    'input_size',
  ])

  constructor() {
    collectDefaultMetrics({ register: this.registry }) // memory, lag of the event loop
    // Series exist from the start, so that a rate over the first event is right.
    for (const reason of REASONS) this.rejected.inc({ reason }, 0)
    for (const outcome of OUTCOMES) this.cache.inc({ cache: 'images', outcome }, 0)
    for (const reason of ['failed', 'stalled']) this.devicesLost.inc({ reason }, 0)
    for (const stage of [...OWN_STAGES, ...BATCH_STAGES]) this.stages.zero({ stage })
  }

  /** Times a part of a request, also as a span of its trace. */
  time<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
    return inSpan(`sam3.${stage}`, async () => {
      const end = this.stages.startTimer({ stage })
      try {
        return await work()
      } finally {
        end()
      }
    })
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.registry] })
  }

  #gauge<L extends string>(name: string, help: string, labelNames: L[] = []): Gauge<L> {
    return new Gauge({ name, help, labelNames, registers: [this.registry] })
  }

  #histogram<L extends string>(name: string, help: string, labelNames: L[]): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets: SECONDS, registers: [this.registry] })
  }
}
