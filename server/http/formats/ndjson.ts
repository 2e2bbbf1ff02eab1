/** Answers line by line, as they come; the reader's pace is the pace of the work. */
import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { toRefusal } from '../../base/problem.js'
import { NDJSON_TYPE } from './choose.js'

const line = (value: object) => `${JSON.stringify(value)}\n`

/** Milliseconds for the last line, of work that was stopped, to be taken. */
const LAST_LINE = 1000

/**
 * Sends what `lines` yields. What fails before the first line is an ordinary error; after it, the last line says it.
 * @param signal Ends the work; a reader that takes nothing any more is then left.
 * @returns when the last line was taken, or nobody takes any more
 */
export async function sendLines(
  reply: FastifyReply,
  lines: AsyncGenerator<object, void, void>,
  signal: AbortSignal,
): Promise<FastifyReply> {
  const first = await lines.next()
  async function* texts() {
    try {
      if (!first.done) yield line(first.value)
      for await (const value of lines) yield line(value)
    } catch (error) {
      reply.log.warn({ err: error }, 'failed after the answer had begun')
      yield line({ type: 'error', problem: toRefusal(error, reply.request.id).problem })
    }
  }
  const stream = Readable.from(texts(), { highWaterMark: 1 })
  const closed = once(stream, 'close')
  let timer: NodeJS.Timeout | undefined
  const leave = () => {
    timer = setTimeout(() => reply.raw.destroy(), LAST_LINE)
  }
  signal.addEventListener('abort', leave, { once: true })
  reply.type(NDJSON_TYPE).send(stream)
  await closed.finally(() => {
    clearTimeout(timer)
    signal.removeEventListener('abort', leave)
  })
  return reply
}
