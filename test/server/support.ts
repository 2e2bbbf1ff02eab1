/** A service with the demo model, for tests: one model, and a service around it for each set of options. */
import { readFileSync } from 'node:fs'
import type { ModelInfo, Sam3VideoModel } from '../../lib/index.js'
import { buildServer, type Server, type ServeOptions } from '../../server/index.js'
import { buildDemoModel, scene } from '../support/demo.js'

export const picture = readFileSync(scene.file)

/** A service, its model and its log. */
export interface TestService {
  server: Server
  model: Sam3VideoModel
  log: Record<string, unknown>[]
}

/** @param byModel Options that follow from the model. */
export async function demoService(
  options: ServeOptions = {},
  byModel: (info: ModelInfo) => ServeOptions = () => ({}),
): Promise<TestService> {
  const model = await buildDemoModel({ maxBatch: options.maxBatchSize })
  const log: Record<string, unknown>[] = []
  const stream = { write: (line: string) => void log.push(JSON.parse(line) as Record<string, unknown>) }
  const server = await buildServer(
    model,
    { warmup: false, ...options, ...byModel(model.info) },
    { logger: { level: 'debug', stream } },
  )
  return { server, model, log }
}

/** A part of a form: a field, or a file with its bytes. */
export type Part = readonly [name: string, value: string | Uint8Array]

/** A form as `inject` takes it, its parts in the given order. */
export function form(...parts: readonly Part[]): { payload: Buffer; headers: { 'content-type': string } } {
  const boundary = '----test'
  const chunks = parts.flatMap(([name, value]) => {
    const file = typeof value === 'string' ? '' : '; filename="a"\r\ncontent-type: application/octet-stream'
    const head = `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${file}\r\n\r\n`
    return [Buffer.from(head), Buffer.from(value), Buffer.from('\r\n')]
  })
  const payload = Buffer.concat([...chunks, Buffer.from(`--${boundary}--\r\n`)])
  return { payload, headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } }
}
