/** What a job has finished, on the disk: another try, by whatever worker sees the same folder, goes on from there. */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeJson } from './whole-file.js'

const DAY = 24 * 60 * 60 * 1000
/** Days after which what a job has left behind is deleted: it has failed, and nobody has tried it again. */
const KEPT_DAYS = 7

const PART = /^part-(\d+)\.json$/

/** A name for a job in paths, whatever its id is. */
export function fileKey(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 20)
}

export class Checkpoint {
  readonly folder: string

  constructor(workFolder: string, id: string) {
    this.folder = join(workFolder, fileKey(id))
  }

  async open(): Promise<void> {
    await mkdir(this.folder, { recursive: true })
  }

  /** What was kept under a name; undefined where there is nothing, or a crash of the machine has left half of it. */
  async read<T>(name: string): Promise<T | undefined> {
    try {
      return JSON.parse(await readFile(join(this.folder, `${name}.json`), 'utf8')) as T
    } catch (error) {
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  async write(name: string, value: unknown): Promise<void> {
    await writeJson(join(this.folder, `${name}.json`), value)
  }

  /** Numbers of the finished parts. */
  async parts(): Promise<Set<number>> {
    const names = await readdir(this.folder)
    return new Set(names.flatMap((name) => PART.exec(name)?.[1] ?? []).map(Number))
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Deletes what jobs of long ago have left in the folder. */
export async function sweepCheckpoints(workFolder: string): Promise<void> {
  await mkdir(workFolder, { recursive: true })
  for (const name of await readdir(workFolder)) {
    if (!/^[\da-f]{20}$/.test(name)) continue
    const path = join(workFolder, name)
    const found = await stat(path).catch(() => undefined) // another worker sweeps as well
    if (found && Date.now() - found.mtimeMs > KEPT_DAYS * DAY) await rm(path, { recursive: true, force: true })
  }
}
