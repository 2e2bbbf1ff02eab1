/** `sam3-node inspect weights`: what a weight file holds, and what of it this library would use. */
import { Command } from 'commander'
import { fromNativeError } from '../../base/errors.js'
import { findModel } from '../../model/locate.js'
import type { NativeWeightGroup, NativeWeightReport } from '../../native/contract.js'
import { loadEngine } from '../../native/loader.js'
import { describeError, table } from '../common/output.js'

/** What `--json` prints. */
interface WeightReport extends Record<string, unknown> {
  weights: string
  /** True where `model:` takes these weights. */
  loads: boolean
}

/** LibTorch's names of number types, as the rest of the world writes them. */
const DTYPES: Readonly<Record<string, string>> = {
  Float: 'float32',
  Half: 'float16',
  BFloat16: 'bfloat16',
  Double: 'float64',
}
const LISTED = 20

export function inspectWeightsCommand(): Command {
  return new Command('weights')
    .description('Say which layout a weight file has, what would be used of it, what ignored, and what is missing.')
    .argument('<model>', 'a model folder, a weight file, or a repository that is in the cache')
    .option('--json', 'print JSON')
    .option('--libtorch <folder>', 'where LibTorch is (default: LIBTORCH, then Python environments)')
    .addHelpText('after', '\nOnly headers are read. The exit code is 1 for weights that cannot be loaded.')
    .action(inspectWeights)
}

async function inspectWeights(model: string, { json, libtorch }: { json?: boolean; libtorch?: string }): Promise<void> {
  const { weights, names = '' } = await findModel(model, { offline: true })
  const engine = await loadEngine(libtorch)
  let report: NativeWeightReport
  try {
    report = engine.inspectWeights(weights, names)
  } catch (error) {
    throw fromNativeError(error)
  }
  const problem = report.format !== 'torchscript' && report.problem ? fromNativeError(report.problem) : undefined
  if (problem) process.exitCode = 1
  process.stdout.write(
    json
      ? `${JSON.stringify({
          weights,
          loads: problem === undefined,
          ...report,
          ...(problem && { problem: { code: problem.code, message: problem.message } }),
        } satisfies WeightReport)}\n`
      : `${describe(weights, report)}\n${problem ? `\n${describeError(problem)}\n` : ''}`,
  )
}

function describe(weights: string, report: NativeWeightReport): string {
  if (report.format === 'torchscript') {
    return `File     ${weights}, torch.jit.save\nLayout   a self-contained checkpoint, which brings a program of its own`
  }
  const { tensors, layout, prefix, wrappers, dtypes, used, parameters, parts } = report
  const kinds = Object.entries(dtypes).map(([name, count]) => `${DTYPES[name] ?? name} (${count})`)
  const taken = Object.entries(wrappers).map(([name, count]) => `${name} (${count})`)
  const lines = [
    `File     ${weights}, ${report.format}, ${tensors} tensors`,
    `Layout   ${layout ?? 'none of SAM 3'}`,
    ...(prefix ? [`Prefix   ${prefix}`] : []),
    ...(taken.length ? [`Wrappers ${taken.join(', ')}`] : []),
    `Used     ${used} tensors, ${(parameters / 1e6).toFixed(1)} million numbers${kinds.length ? `: ${kinds.join(', ')}` : ''}`,
    `Answers  ${answers(parts)}`,
    ...listed('Missing, by module', report.missing),
    ...listed('Ignored', report.ignored),
    ...listed('Other sets of weights, which are not used', report.others),
  ]
  return lines.join('\n')
}

function answers({ detector, clicks, video }: { detector: boolean; clicks: boolean; video: boolean }): string {
  const can = [detector && 'texts and exemplar boxes', clicks && 'clicks', video && 'videos'].filter(Boolean)
  return can.length ? can.join(', ') : 'nothing'
}

function listed(title: string, groups: readonly NativeWeightGroup[]): string[] {
  if (groups.length === 0) return []
  const rows = groups
    .slice(0, LISTED)
    .map(({ name, tensors, of, example }) => [
      name || '(no prefix)',
      of === undefined ? String(tensors) : `${tensors} of ${of}`,
      `as ${example}`,
    ])
  const more = groups.length > LISTED ? [`  … and ${groups.length - LISTED} more`] : []
  return [`${title}:`, table(rows), ...more]
}
