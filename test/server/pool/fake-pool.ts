/** Models that do as they are told, and a pool over them. */
import { Sam3RuntimeError, type Sam3ImageModel } from '../../../lib/index.js'
import { Metrics } from '../../../server/observe/metrics.js'
import { Pool, type PoolOptions, type Ticket } from '../../../server/pool/pool.js'
import { type Deferred, deferred } from '../../support/deferred.js'

/** A model whose calls last until the test ends them. */
export class FakeModel {
  readonly info: Sam3ImageModel['info']
  readonly calls: (Deferred<string> & { name: string })[] = []
  /** What encode() says: the pool asks it whether the device works. */
  health: Deferred<{ dispose: () => void }> | undefined
  disposed = false
  /** What the engine says that it counted. */
  counted: object = {}

  constructor(device: string) {
    this.info = { device, dtype: 'float32', inputSize: 8 } as Sam3ImageModel['info']
  }

  call(name: string): Promise<string> {
    const call = deferred<string>()
    this.calls.push({ ...call, name })
    return call.promise
  }

  encode(): Promise<{ dispose: () => void }> {
    this.health = deferred()
    return this.health.promise
  }

  stats(): object {
    if (this.disposed) throw new Sam3RuntimeError('ERR_DISPOSED', 'The model was disposed.')
    return this.counted
  }

  async dispose(): Promise<void> {
    this.disposed = true
  }

  get names(): string[] {
    return this.calls.map(({ name }) => name)
  }
}

const OPTIONS: PoolOptions = { maxBatchSize: 2, maxQueueDelayMs: 0, maxQueueSize: 100 }
export const inferenceError = () => new Sam3RuntimeError('ERR_INFERENCE', 'CUDA error: an illegal memory access.')

export function setUp(devices: number, options: Partial<PoolOptions> = {}) {
  const lost: string[] = []
  const metrics = new Metrics()
  const pool = new Pool({ ...OPTIONS, ...options }, metrics)
  pool.onLost = ({ name }) => lost.push(name)
  const models = Array.from({ length: devices }, (_, index) => new FakeModel(`fake:${index}`))
  for (const model of models) pool.add(model as unknown as Sam3ImageModel)
  const ask = (name: string, ticket: Partial<Ticket> = {}) => {
    const whole: Ticket = { client: 'a', share: 1, signal: new AbortController().signal, ...ticket }
    return pool.run(whole, (model) => (model as unknown as FakeModel).call(name))
  }
  return { pool, metrics, models, lost, ask }
}

/** Lets everything happen that waits for nothing else. */
export const settle = () => new Promise((resolve) => setImmediate(resolve))
