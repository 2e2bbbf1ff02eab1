/** How many calls the engine joined: a summary whose sum are the calls and whose count are the batches, read from the engine. */
import type { Metric, Registry } from 'prom-client'

const NAME = 'sam3_batch_size'

/** What the engine counted. */
export interface Batches {
  calls: number
  batches: number
}

/** Registers the summary, which is read when metrics are asked for. */
export function registerBatchSize(registry: Registry, read: () => Batches): void {
  const metric = {
    name: NAME,
    get: async () => {
      const { calls, batches } = read()
      const values = [
        { value: calls, labels: {}, metricName: `${NAME}_sum` },
        { value: batches, labels: {}, metricName: `${NAME}_count` },
      ]
      return { name: NAME, help: 'Calls that the engine took together.', type: 'summary', aggregator: 'sum', values }
    },
  }
  // prom-client's own summaries count for themselves; a registry asks a metric for no more than this.
  registry.registerMetric(metric as unknown as Metric)
}
