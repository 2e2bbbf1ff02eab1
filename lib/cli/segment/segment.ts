/** `sam3-node segment`: images in, overlays, masks and COCO JSON out. */
import { Command } from 'commander'
import { Sam3InputError } from '../../base/errors.js'
import { loadNamedFonts } from '../../label/fonts.js'
import { buildSam3ImageModel } from '../../model/build.js'
import type { Sam3ImageModel } from '../../model/image-model.js'
import type { BoxPrompt, PointPrompt, Prompt, PromptSettings } from '../../prompt/types.js'
import type { Box, Point } from '../../geometry/types.js'
import { UNNAMED } from '../../result/categories.js'
import type { Instance } from '../../result/types.js'
import { collect, parseBox, parseCount, parseNumber, parsePhrase, parsePoint } from '../common/arguments.js'
import { expandFiles } from './files.js'
import { shortened } from '../../base/shown.js'
import { addModelOptions, chosenModel, type ModelChoice } from '../common/model-options.js'
import { describeError, type Progress, startProgress, table } from '../common/output.js'
import { checkOutputFolder } from '../common/outputs.js'
import { startPullView } from '../common/pull-progress.js'
import { resultNames } from './result-names.js'
import { type FileReport, ResultWriter, type SegmentedFile } from './results.js'

/** What the options come to. */
interface SegmentOptions extends ModelChoice {
  text?: string[]
  box?: Box[]
  negBox?: Box[]
  point?: Point[]
  negPoint?: Point[]
  normalized?: boolean
  threshold?: number
  maxInstances?: number
  out?: string
  font?: string[]
  json?: boolean
}

/** While the model looks at one file, another is decoded or its pictures are written. */
const FILES_AT_A_TIME = 2

/** What the object under a click is called. */
const CLICKED = 'click'

/** Where results go when nothing else is said. */
const DEFAULT_FOLDER = 'result'

const EXAMPLES = `
Examples:
  Every wheel on a photograph; writes result/truck.overlay.png, result/coco.json and a PNG per mask
    $ sam3-node segment truck.jpg --text wheel
  Two concepts on all photographs of a folder
    $ sam3-node segment photos --text "yellow school bus" --text person --out found
  Things that look like the one in the box, but not like the other
    $ sam3-node segment shelf.jpg --box 10,20,80,90 --neg-box 200,20,280,90
  The object under a click, without the part under the other
    $ sam3-node segment truck.jpg --point 520,375 --neg-point 610,380
  For a program: JSON on stdout, nothing written, errors on stderr
    $ sam3-node segment "scans/**/*.png" --text crack --json > cracks.json

Coordinates are pixels of the image as it is seen (EXIF orientation applied), or 0..1 with --normalized.
A file that cannot be read does not stop the others; it is reported at the end, and the exit code is 1. The
exit code of a command line that cannot be understood is 2.
`

/** The command, for the program to add. */
export function segmentCommand(): Command {
  const command = new Command('segment')
    .description('Find and cut out objects on images, by text, by example boxes, or by clicks.')
    .argument('<files...>', 'images, globs or folders')
    .optionsGroup('What to find:')
    .option('-t, --text <phrase>', 'a short noun phrase; repeat it for several concepts', parsePhrase)
    .option(
      '-b, --box <x0,y0,x1,y1>',
      'an example of what to find (with --point: a box around the object); repeatable',
      parseBox,
    )
    .option('--neg-box <x0,y0,x1,y1>', 'an example of what not to find; repeatable', parseBox)
    .option('-p, --point <x,y>', 'a click on the object; repeatable', parsePoint)
    .option('--neg-point <x,y>', 'a click beside the object; repeatable', parsePoint)
    .option('--normalized', 'coordinates are 0..1 of width and height')
    .option('--threshold <score>', 'keep instances with a score above this (default: 0.5)', parseNumber(0, 1))
    .option('--max-instances <n>', 'keep at most this many per concept, the best ones', parseCount)
    .optionsGroup('Results:')
    .option(
      '-o, --out <folder>',
      `write overlays, masks and coco.json there (default: ${DEFAULT_FOLDER}; with --json: nowhere)`,
    )
    .option('--font <file>', 'draw labels with this font where it has the letters; repeatable', collect)
    .option('--json', 'print one JSON document on stdout, and nothing else')
  return addModelOptions(command).addHelpText('after', EXAMPLES).action(run)
}

async function run(names: string[], options: SegmentOptions): Promise<void> {
  const find = chooseQuestion(options)
  await loadNamedFonts(options.font) // a font that is none is told now, not after the work
  const folder = options.out ?? (options.json ? undefined : DEFAULT_FOLDER)
  if (folder !== undefined) checkOutputFolder('--out', folder)
  const files = await expandFiles(names)
  const download = startPullView()
  const model = await buildSam3ImageModel({ ...chosenModel(options), onProgress: download.update }).finally(
    download.stop,
  )
  const writer = new ResultWriter(folder, options.font)
  const progress = startProgress(files.length, options.json === true)
  try {
    const reports = await segmentFiles(model, files, find, writer, progress)
    progress.stop()
    await writer.finish(reports, categoriesOf(options))
    report(reports, options.json === true, folder)
  } finally {
    progress.stop()
    await model.dispose()
  }
}

/** What instances can be called: the same on every run with the same texts, whatever is found. */
function categoriesOf({ text, point = [], negPoint = [] }: SegmentOptions): string[] {
  if (point.length + negPoint.length > 0) return [CLICKED]
  return text ? [...new Set(text)] : [UNNAMED]
}

/** Asks the model about one file. */
type Question = (model: Sam3ImageModel, file: string) => Promise<SegmentedFile>

function chooseQuestion(options: SegmentOptions): Question {
  const { text, box = [], negBox = [], point = [], negPoint = [] } = options
  const clicks = point.length + negPoint.length > 0
  if (!text && !clicks && box.length + negBox.length === 0) {
    throw new Sam3InputError('ERR_EMPTY_PROMPT', 'It is not said what to find.', {
      fix: 'Add --text "a noun phrase", --box x0,y0,x1,y1 or --point x,y.',
    })
  }
  if (!clicks) return byConcept(text, box, negBox, options)
  if (text || negBox.length > 0 || box.length > 1) {
    throw new Sam3InputError(
      'ERR_INVALID_ARGUMENT',
      'Clicks segment one object: they go with one --box, not with --text or --neg-box.',
      { fix: 'Run it twice, once for the clicks and once for the rest.' },
    )
  }
  return byClicks(point, negPoint, box[0], options.normalized === true)
}

function byConcept(texts: string[] | undefined, positive: Box[], negative: Box[], options: SegmentOptions): Question {
  const settings: PromptSettings = {
    boxes: [
      ...positive.map((box): BoxPrompt => ({ box, label: 'positive' })),
      ...negative.map((box): BoxPrompt => ({ box, label: 'negative' })),
    ],
    normalized: options.normalized === true,
    threshold: options.threshold,
    maxInstances: options.maxInstances,
  }
  const prompts: Prompt[] = texts ? texts.map((text) => ({ ...settings, text })) : [settings]
  return async (model, file) => {
    const results = await model.segment(file, prompts)
    const { width, height } = results[0]!
    return {
      width,
      height,
      instances: results.flatMap(({ instances }) => instances),
      warnings: results.flatMap(({ warnings }) => warnings),
    }
  }
}

function byClicks(positive: Point[], negative: Point[], box: Box | undefined, normalized: boolean): Question {
  const prompt: PointPrompt = {
    points: [...positive, ...negative],
    labels: [...positive.map(() => 1 as const), ...negative.map(() => 0 as const)],
    // A single click is ambiguous: the best of three masks is better than the one mask.
    multimask: positive.length + negative.length === 1 && !box,
    normalized,
    box,
  }
  return async (model, file) => {
    const { width, height, best } = await model.predict(file, prompt)
    const instance: Instance = { score: best.score, box: best.mask.box, mask: best.mask, label: CLICKED }
    return { width, height, instances: [instance], warnings: [] }
  }
}

async function segmentFiles(
  model: Sam3ImageModel,
  files: readonly string[],
  find: Question,
  writer: ResultWriter,
  progress: Progress,
): Promise<FileReport[]> {
  const names = resultNames(files)
  const reports: FileReport[] = []
  const waiting = [...files.entries()]
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [index, file] = next
      try {
        const result = await find(model, file)
        reports[index] = { file, result, written: await writer.write(file, names[index]!, result) }
        progress.step(`${shortened(file)}: ${summary(result)}`)
      } catch (error) {
        reports[index] = { file, error }
        progress.step(`${shortened(file)}: failed`)
      }
    }
  }
  await Promise.all(Array.from({ length: FILES_AT_A_TIME }, worker))
  return reports
}

function summary({ instances }: SegmentedFile): string {
  const counts = new Map<string, number>()
  for (const { label = UNNAMED } of instances) counts.set(label, (counts.get(label) ?? 0) + 1)
  return [...counts].map(([label, count]) => `${count} x ${label}`).join(', ') || 'nothing found'
}

function details({ instances }: SegmentedFile): string {
  const rows = instances.map(({ label = '', score, box, mask }, index) => [
    `${index + 1}`,
    label,
    score.toFixed(3),
    box.map((value) => value.toFixed(0)).join(', '),
    `${mask.area} px`,
  ])
  return `${table([['', 'concept', 'score', 'box (x0, y0, x1, y1)', 'area'], ...rows])}\n\n`
}

function report(reports: readonly FileReport[], json: boolean, folder: string | undefined): void {
  const failed = reports.filter((one) => one.error !== undefined)
  const [only] = reports
  if (json) {
    process.stdout.write(`${JSON.stringify(toJson(reports))}\n`)
  } else if (failed.length < reports.length) {
    if (reports.length === 1 && only?.result && only.result.instances.length > 0)
      process.stdout.write(details(only.result))
    process.stdout.write(`Results of ${reports.length - failed.length} of ${reports.length} files are in ${folder}.\n`)
  }
  for (const { file, result } of reports) {
    for (const warning of result?.warnings ?? []) process.stderr.write(`${shortened(file)}: ${warning}\n`)
  }
  if (failed.length === 0) return
  process.stderr.write(`${failed.length} of ${reports.length} files failed:\n`)
  for (const { file, error } of failed) process.stderr.write(`  ${shortened(file)}: ${describeError(error)}\n`)
  process.exitCode = 1
}

function toJson(reports: readonly FileReport[]): object {
  return {
    images: reports.flatMap(({ file, result, written }) =>
      result
        ? [
            {
              file,
              width: result.width,
              height: result.height,
              instances: result.instances.map(({ label, score, box, mask }) => ({
                label,
                score,
                box,
                area: mask.area,
                rle: mask.toRle(),
              })),
              warnings: result.warnings,
              written: written?.length ? written : undefined,
            },
          ]
        : [],
    ),
    errors: reports.flatMap(({ file, error }) =>
      error === undefined
        ? []
        : [
            {
              file,
              code: (error as { code?: string }).code ?? 'ERR_INTERNAL',
              message: error instanceof Error ? error.message : String(error),
            },
          ],
    ),
  }
}
