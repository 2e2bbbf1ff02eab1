// Our side of the benchmark's protocol (bench/worker.mjs): one JSON request a line, one JSON answer a line.

import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** A line of /proc/self/status, as VmRSS. */
export const megabytes = (field) =>
  Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024

/** Peak and present resident memory; starts a new peak. */
function memory() {
  const answer = { peakMb: megabytes('VmHWM'), residentMb: megabytes('VmRSS') }
  writeFileSync('/proc/self/clear_refs', '5')
  return answer
}

/** Answers requests, which name an operation and its parameters, until stdin ends. */
export async function serve(operations) {
  const all = { ...operations, memory }
  for await (const line of createInterface({ input: process.stdin })) {
    const { op, ...parameters } = JSON.parse(line)
    let answer
    try {
      answer = await all[op](parameters)
    } catch (error) {
      answer = { error: `${error.code ?? error.name}: ${error.message}` }
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
}
