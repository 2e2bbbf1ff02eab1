/** What every route has at hand. */
import type { FastifyInstance } from 'fastify'
import type { ServeConfig } from '../config/schema.js'
import type { JobFiles } from '../jobs/files/job-files.js'
import type { JobStore } from '../jobs/job/store.js'
import type { Metrics } from '../observe/metrics.js'
import type { KeptImages } from '../pool/kept-images.js'
import type { Pool } from '../pool/pool.js'
import type { Sessions } from '../pool/sessions.js'
import type { RunningRequests } from './running-requests.js'

/** One service: its options, its models, what it counts. */
export interface Service {
  readonly config: ServeConfig
  readonly pool: Pool
  readonly images: KeptImages
  readonly sessions: Sessions
  readonly metrics: Metrics
  readonly requests: RunningRequests
  readonly jobs: JobStore
  /** What jobs may read and write. */
  readonly jobFiles: JobFiles
  /** The bytes behind an address that a client gave in place of an image; absent where addresses are not taken. */
  readonly fetchImage?: (address: string, signal: AbortSignal) => Promise<Uint8Array>
}

/** Adds endpoints to the app. */
export type Route = (app: FastifyInstance, service: Service) => void
