/** The options about the model, which several commands share. */
import { type Command, Option } from 'commander'
import type { Dtype, ImageModelOptions } from '../../model/options.js'
import { parseCount } from './arguments.js'

/** What these options come to. */
export interface ModelChoice {
  model?: string
  device?: NonNullable<ImageModelOptions['device']>
  dtype?: Dtype
  inputSize?: number
  threads?: number
  libtorch?: string
}

/** Adds them to a command, as a group of its help. */
export function addModelOptions(command: Command): Command {
  return command
    .optionsGroup('Model:')
    .option(
      '-m, --model <path>',
      'a model folder, a checkpoint file or a repository (default: facebook/sam3, downloaded once)',
    )
    .option('--device <name>', 'auto, cpu, cuda or cuda:N (default: auto)')
    .addOption(
      new Option('--dtype <type>', 'number type (default: auto)').choices(['auto', 'float32', 'bfloat16', 'float16']),
    )
    .option(
      '--input-size <pixels>',
      'side of the network input; smaller is faster and coarser (default: 1008)',
      parseCount,
    )
    .option('--threads <n>', 'CPU threads (default: all cores but one)', parseCount)
    .option(
      '--libtorch <folder>',
      'where LibTorch is (default: LIBTORCH, then what libtorch install brought, then Python environments)',
    )
}

/** For the library, to which an option without a value is one that was not given. */
export function chosenModel({ model, device, dtype, inputSize, threads, libtorch }: ModelChoice): ImageModelOptions {
  return { model, device, dtype, inputSize, threads, libtorch }
}
