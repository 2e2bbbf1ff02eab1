/** Workers as processes of their own, as `sam3-node work` starts them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { deferred } from '../../support/deferred.js'
import { repositoryRoot } from '../../support/paths.js'
import { testDevice, testDtype } from '../../support/where.js'

export class WorkerProcess {
  readonly #process: ChildProcess
  readonly #exited: Promise<unknown[]>
  readonly #lines: string[] = []

  private constructor(child: ChildProcess) {
    this.#process = child
    this.#exited = once(child, 'exit')
  }

  /** What it has said. */
  get told(): string {
    return this.#lines.join('\n')
  }

  get pid(): number {
    return this.#process.pid!
  }

  /** Resolves when it takes jobs. */
  static async start(
    redis: string,
    folder: string,
    options: Record<string, string | number> = {},
  ): Promise<WorkerProcess> {
    const all = {
      redis,
      model: 'demo',
      device: testDevice,
      dtype: testDtype,
      threads: 1,
      port: 0,
      'job-roots': folder,
      ...options,
    }
    const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)])
    const cli = path.join(repositoryRoot, 'dist/cli.js')
    const child = spawn(process.execPath, [cli, 'work', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const worker = new WorkerProcess(child)
    const ready = deferred()
    for (const stream of [child.stdout!, child.stderr!])
      createInterface(stream).on('line', (line) => {
        worker.#lines.push(line)
        if (line.includes('"takes jobs"')) ready.resolve()
      })
    const ended = worker.#exited.then(() => {
      throw new Error(`The worker ended:\n${worker.#lines.join('\n')}`)
    })
    await Promise.race([ready.promise, ended])
    return worker
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(name)
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#exited
  }

  /** Tells it to end. @returns its exit code */
  async end(): Promise<unknown> {
    this.#process.kill('SIGTERM')
    const [code] = await this.#exited
    return code
  }
}
