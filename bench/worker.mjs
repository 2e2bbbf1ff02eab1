// A measured process, ours or the reference's, driven by one JSON line per request and per answer.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { root } from '../scripts/support/command.mjs'

export class Worker {
  #child
  #answers
  #errors = ''

  /**
   * @param {string} program
   * @param {string[]} args
   * @param {Record<string, string>} env added to this process's own
   */
  constructor(program, args, env) {
    this.#child = spawn(program, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stderr.setEncoding('utf8').on('data', (chunk) => {
      this.#errors = (this.#errors + chunk).slice(-4000)
    })
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  /** Sends one request and waits for its answer. */
  async ask(op, parameters = {}) {
    this.#child.stdin.write(`${JSON.stringify({ op, ...parameters })}\n`)
    const { value, done } = await this.#answers.next()
    if (done) throw new Error(`the process ended during "${op}":\n${this.#errors}`)
    const answer = JSON.parse(value)
    if (answer.error) throw new Error(`"${op}": ${answer.error}\n${this.#errors}`)
    return answer
  }

  async close() {
    const gone = this.#child.exitCode === null && new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.stdin.end()
    await gone
  }
}
