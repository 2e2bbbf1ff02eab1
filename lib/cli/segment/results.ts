/** Writes what `segment` found: an overlay and mask PNGs per image, one COCO JSON for all. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CocoEntry, toCocoJson } from '../../result/coco.js'
import { overlay } from '../../result/overlay.js'
import type { Instance, Segmentation } from '../../result/types.js'
import { dataSetNames, maskName } from './result-names.js'

/** What was found on one file, over all prompts. */
export type SegmentedFile = Pick<Segmentation, 'width' | 'height' | 'instances' | 'warnings'>

/** What came of one file. */
export interface FileReport {
  file: string
  result?: SegmentedFile
  written?: string[]
  error?: unknown
}

/** Collects results in a folder; with no folder it does nothing. */
export class ResultWriter {
  readonly #folder: string | undefined
  readonly #fonts: readonly string[]

  /** @param fonts Font files for labels. */
  constructor(folder: string | undefined, fonts: readonly string[] = []) {
    this.#folder = folder
    this.#fonts = fonts
  }

  /** Writes one image's files, all named after `name`, and gives their paths. */
  async write(file: string, name: string, result: SegmentedFile): Promise<string[]> {
    if (this.#folder === undefined) return []
    await mkdir(this.#folder, { recursive: true })
    const picture = join(this.#folder, `${name}.overlay.png`)
    await writeFile(picture, await overlay(file, result.instances, { fonts: this.#fonts }))
    const digits = String(result.instances.length).length
    const masks = await Promise.all(
      result.instances.map(async ({ mask, label }: Instance, index) => {
        const number = String(index + 1).padStart(digits, '0')
        const path = join(this.#folder!, maskName(name, number, label))
        await writeFile(path, await mask.toPng())
        return path
      }),
    )
    return [picture, ...masks]
  }

  /** Writes the COCO JSON of all images, in the order of the reports; `categories` are those that could have been found. */
  async finish(reports: readonly FileReport[], categories: readonly string[]): Promise<void> {
    const names = dataSetNames(reports.map(({ file }) => file))
    const entries = reports.flatMap(({ result }, index): CocoEntry[] =>
      result ? [{ ...result, fileName: names[index]! }] : [],
    )
    if (this.#folder === undefined || entries.length === 0) return
    await writeFile(join(this.#folder, 'coco.json'), `${JSON.stringify(toCocoJson(entries, { categories }))}\n`)
  }
}
