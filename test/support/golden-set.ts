/**
 * The set of goldens that is replayed. What is in it is read from it: the lists of tests are made from its cases, and
 * what it leaves out is named by a test in the place of those that it would have.
 */
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { TextTokenizer } from '../../lib/tokenizer/tokenizer.js'
import { goldenRoot, replayedModels, replayedRoot } from './paths.js'
import { SafetensorsFile } from './safetensors.js'
import { type Pixels, readClip } from './video.js'

/** The forms in which the set has its weights: by what they are called, and as the library loads them. */
export const replayedWeights = [
  { name: 'transformers’ model.safetensors', file: 'model.safetensors', path: replayedModels.safetensors },
  { name: 'Meta’s sam3.pt', file: 'sam3.pt', path: replayedModels.meta },
].filter(({ file }) => existsSync(`${replayedRoot}/model/${file}`))

const readModel = (file: string) => readFileSync(`${replayedRoot}/model/${file}`, 'utf8')
const textConfig = JSON.parse(readModel('config.json')).detector_config?.text_config
const tokenizer = new TextTokenizer(readModel('tokenizer.json'), textConfig?.max_position_embeddings ?? 32)

/** The path of one of the set's images. */
export const imagePath = (name: string): string => `${replayedRoot}/images/${name}`

/** The path of an image whose pixels are the reference's: decoders of JPEG may differ by small values. */
export function exactImagePath(name: string): string {
  const decoded = imagePath(`${name}.decoded.png`)
  return existsSync(decoded) ? decoded : imagePath(name)
}

/** The tensors of a family of cases. */
export const tensorsOf = (family: string): SafetensorsFile =>
  new SafetensorsFile(`${replayedRoot}/cases/${family}.safetensors`)

/** The frames of one of the set's clips. */
export const clipOf = ({ clip }: { clip: string }): Promise<Pixels[]> => readClip(imagePath(clip))

/** The warnings that a prompt with this text must give: one that it was cut off, where it is longer than the context. */
export function warningsFor(text: string | null | undefined): unknown[] {
  return text && tokenizer.encode(text).truncated ? [expect.stringContaining('cut off')] : []
}

/** A test that names what the set leaves out. Only other sets may: the project's own has something for every test. */
export function leftOut(what: string): void {
  it(`the set in ${replayedRoot} has no ${what}`, () => {
    expect(replayedRoot).not.toBe(goldenRoot)
  })
}

/** Declares the tests of a family of cases, `cases/<family>.json`. */
export function replay<Cases>(title: string, family: string, body: (cases: Cases) => void): void {
  describe(title, () => {
    const file = `${replayedRoot}/cases/${family}.json`
    if (existsSync(file)) body(JSON.parse(readFileSync(file, 'utf8')) as Cases)
    else leftOut(`cases/${family}.json`)
  })
}
