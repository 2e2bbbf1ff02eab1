/** The device of a worker, whose silence ends its jobs, and what its probes tell of it. */
import type { FastifyInstance } from 'fastify'
import { Gauge, Registry } from 'prom-client'
import type { JobWorker } from '../jobs/store/worker.js'
import type { JobModel } from '../jobs/work/tools.js'
import type { Device } from '../pool/device.js'

/** A model whose device is taken out where it says nothing any more: its jobs fail then, and are tried elsewhere. */
export function watched(model: JobModel, device: Device): JobModel {
  const run = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await device.watch(work)
    } catch (error) {
      await device.isLost(error)
      throw error
    }
  }
  return {
    segment: (image, prompts, options) => run(model.segment(image, prompts, options)),
    startSession: (video, options) => run(model.startSession(video, options)),
    watch: (_session, work) => run(work),
  }
}

/** What a worker has so far. */
export interface WorkerState {
  device: Device | undefined
  worker: Pick<JobWorker, 'active' | 'isConnected'> | undefined
  isClosing: boolean
}

/** `/livez`, `/readyz` and `/metrics`, as the service has them. */
export function probes(app: FastifyInstance, state: () => WorkerState): void {
  const isAlive = () => {
    const { device, isClosing } = state()
    return isClosing || !device || (!device.failure && device.stats !== undefined)
  }
  app.get('/livez', (_request, reply) => {
    return reply.code(isAlive() ? 200 : 503).send({ status: isAlive() ? 'alive' : `device ${state().device!.state}` })
  })
  app.get('/readyz', (_request, reply) => {
    const { worker, isClosing } = state()
    const open = worker?.isConnected ? 'ready' : 'no queue'
    const status = isClosing ? 'draining' : !worker ? 'loading' : isAlive() ? open : `device ${state().device!.state}`
    return reply.code(status === 'ready' ? 200 : 503).send({ status })
  })
  const registry = new Registry()
  new Gauge({
    name: 'sam3_jobs_active',
    help: 'Jobs that run in this worker.',
    registers: [registry],
    collect() {
      this.set(state().worker?.active ?? 0)
    },
  })
  new Gauge({
    name: 'sam3_device_up',
    help: '1 while the device works, 0 once it was taken out.',
    labelNames: ['device'],
    registers: [registry],
    collect() {
      const { device } = state()
      if (device) this.set({ device: device.name }, device.failure ? 0 : 1)
    },
  })
  app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()))
}
