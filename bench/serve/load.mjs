// Load for a service, from a process of its own: requests leave at their times, whether or not earlier ones were
// answered (open loop), and each is timed from when it was due, so that a service that stalls cannot hide it. Where what
// counts is what the service looks like after many answers, clients wait for theirs (closed loop): nothing is refused.

import { readFileSync } from 'node:fs'
import { Agent, request } from 'undici'
import { serve } from '../protocol.mjs'

/** Milliseconds that answers may come after the last request has left. */
const GRACE = 5000

const BOUNDARY = 'sam3-bench'

/** A form with a picture and texts, as bytes. */
function form(picture, texts) {
  const part = (head, value) => [`--${BOUNDARY}\r\ncontent-disposition: form-data; ${head}\r\n\r\n`, value, '\r\n']
  const file = part('name="image"; filename="a.jpg"\r\ncontent-type: image/jpeg', picture)
  const pieces = [...texts.flatMap((text) => part('name="text"', text)), ...file, `--${BOUNDARY}--\r\n`]
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece)))
}

/** The value below which that share of sorted values lies. */
const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN

function summary(latencies) {
  const sorted = latencies.toSorted((a, b) => a - b)
  return { p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99) }
}

const HEADERS = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` }

/** A form for each picture with each list of texts. */
function formsOf(pictures, texts) {
  const files = pictures.map((file) => readFileSync(file))
  return Array.from({ length: files.length * texts.length }, (_, index) =>
    form(files[index % files.length], texts[index % texts.length]),
  )
}

/** @returns the status of the answer, which was read to its end */
async function post(url, body, dispatcher) {
  const answer = await request(`${url}/v1/segment`, { method: 'POST', body, headers: HEADERS, dispatcher })
  await answer.body.dump()
  return answer.statusCode
}

const operations = {
  /**
   * So many requests, each client's behind the answer to its last one.
   * @param {{ url: string, pictures: string[], texts: string[][], clients: number, most: number }} parameters
   */
  async ask({ url, pictures, texts, clients, most }) {
    const bodies = formsOf(pictures, texts)
    const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 })
    const statuses = {}
    let sent = 0
    const client = async () => {
      while (sent < most) {
        const status = await post(url, bodies[sent++ % bodies.length], dispatcher)
        statuses[status] = (statuses[status] ?? 0) + 1
      }
    }
    await Promise.all(Array.from({ length: clients }, client))
    await dispatcher.destroy()
    return { statuses }
  },

  /**
   * @param {object} parameters
   * @param {string} parameters.url the service
   * @param {string[]} parameters.pictures files, sent in turns
   * @param {string[][]} parameters.texts of a request, in turns
   * @param {number} parameters.rate requests a second
   * @param {number} parameters.seconds how long requests leave
   * @param {number} [parameters.warmup] seconds of it that do not count
   */
  async run({ url, pictures, texts, rate, seconds, warmup = 0 }) {
    const bodies = formsOf(pictures, texts)
    const dispatcher = new Agent({ pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })
    const begun = performance.now()
    const counted = { statuses: {}, latencies: [], early: [], late: [], refusals: [], answered: 0, done: 0 }
    const running = new Set()
    let [sent, lag, isOver] = [0, 0, false]

    const send = async (due) => {
      const isCounted = due >= warmup * 1000
      let status = 'failed'
      try {
        status = await post(url, bodies[sent % bodies.length], dispatcher)
      } catch {
        if (isOver) status = 'unanswered'
      }
      const now = performance.now() - begun
      if (status === 200) counted.answered += 1
      // What is answered while the clock runs is the throughput, whenever it was sent.
      if (status === 200 && now >= warmup * 1000 && now < seconds * 1000) counted.done += 1
      if (!isCounted) return
      counted.statuses[status] = (counted.statuses[status] ?? 0) + 1
      if (status === 429) counted.refusals.push(now - due)
      // Without an answer it took at least this long.
      if (status === 200 || status === 'unanswered') {
        counted.latencies.push(now - due)
        ;(due < 500 * (seconds + warmup) ? counted.early : counted.late).push(now - due)
      }
    }

    for (;;) {
      const due = (1000 * sent) / rate
      if (due >= seconds * 1000) break
      const wait = due - (performance.now() - begun)
      if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait))
      lag = Math.max(lag, performance.now() - begun - due)
      const one = send(due).finally(() => running.delete(one))
      running.add(one)
      sent += 1
    }
    const timer = setTimeout(() => {
      isOver = true
      dispatcher.destroy()
    }, GRACE)
    await Promise.all(running)
    clearTimeout(timer)
    await dispatcher.destroy()
    return {
      sent,
      perSecond: counted.done / (seconds - warmup),
      answered: counted.answered,
      statuses: counted.statuses,
      ...summary(counted.latencies),
      p99EarlyMs: summary(counted.early).p99Ms,
      p99LateMs: summary(counted.late).p99Ms,
      refusalP99Ms: summary(counted.refusals).p99Ms,
      lagMs: lag,
    }
  },
}

await serve(operations)
