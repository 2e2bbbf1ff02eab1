/** A folder that jobs may use, and what they work with there. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { CocoJson } from '../../../lib/index.js'
import { JobFiles, type Remote } from '../../../server/jobs/files/job-files.js'
import { Roots } from '../../../server/jobs/files/roots.js'
import { jobEvents } from '../../../server/jobs/job/events.js'
import type { SegmentJob } from '../../../server/jobs/job/request.js'
import type { JobState, JobStore, JobView } from '../../../server/jobs/job/store.js'
import { Slots } from '../../../server/jobs/work/slots.js'
import type { JobModel, JobTools } from '../../../server/jobs/work/tools.js'

export class Workplace {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'sam3-jobs-'))
  readonly work = path.join(this.folder, '.work')

  /** Makes `count` pictures, each with its number as its bytes: for a model that does not look at them. */
  pictures(count: number, name = 'in'): this {
    mkdirSync(this.at(name), { recursive: true })
    for (let index = 0; index < count; index++)
      writeFileSync(this.at(`${name}/${String(index).padStart(3, '0')}.jpg`), `${name} ${index}`)
    return this
  }

  tools(model: JobModel, { slots = 4, remote }: { slots?: number; remote?: Remote } = {}): JobTools {
    const files = new JobFiles(new Roots([this.folder]), this.work, 2 ** 20, remote)
    return { model, files, slots: new Slots(slots) }
  }

  at(name: string): string {
    return path.join(this.folder, name)
  }

  coco(name: string): CocoJson {
    return JSON.parse(readFileSync(this.at(name), 'utf8'))
  }

  /** All names in the folder, also those that begin with a dot. */
  names(name = '.'): string[] {
    return readdirSync(this.at(name)).sort()
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export const segmentJob = (more: Partial<SegmentJob> = {}): SegmentJob => ({
  kind: 'segment',
  images: ['in'],
  texts: ['cat'],
  outputs: { coco: 'out/found.json' },
  ...more,
})

/** Follows a job until it is in one of these states, or as far as the test says. */
export async function until(
  store: JobStore,
  id: string,
  done: readonly JobState[] | ((view: JobView) => boolean),
): Promise<JobView> {
  const isDone = typeof done === 'function' ? done : ({ state }: JobView) => done.includes(state)
  for await (const _event of jobEvents(store, id, undefined, AbortSignal.timeout(120_000))) {
    const view = await store.get(id)
    if (view && isDone(view)) return view
  }
  throw new Error(`The job ended before that: ${JSON.stringify(await store.get(id))}`)
}
