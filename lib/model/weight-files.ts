/** Which file of a folder holds the weights: as repositories, Meta's trainer and the usual training loops name it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Sam3ModelError } from '../base/errors.js'

/** By falling precedence. */
const USUAL = [
  'model.safetensors',
  'model.safetensors.index.json',
  'sam3.pt',
  'sam3.1_multiplex.pt',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'checkpoint.pt',
] as const

const WEIGHTS = /\.(safetensors|safetensors\.index\.json|bin|pt|pth|ckpt)$/
/** What lies beside weights and is none: the program, the state of a training run, shards that an index lists. */
const OTHERS =
  /^(program\.pt|(optimizer|scheduler|scaler|rng_state|random_states|training_args|adapter_model|custom_checkpoint).*|.*-\d+-of-\d+\.\w+)$/

/** Whether a file of weights is there; of an index, whether its shards are. */
function isWhole(path: string): boolean {
  if (!existsSync(path) || !path.endsWith('.index.json')) return existsSync(path)
  try {
    const { weight_map: map } = JSON.parse(readFileSync(path, 'utf8')) as { weight_map: Record<string, string> }
    return Object.values(map).every((shard) => existsSync(join(dirname(path), shard)))
  } catch {
    return false
  }
}

/** What a folder without weights is instead, and what to do about it. */
function whatElse(folder: string): { is: string; fix: string } {
  const cached = /(?:^|\/)models--([^/]+)$/.exec(folder)?.[1]?.replace('--', '/')
  if (cached && existsSync(join(folder, 'snapshots'))) {
    return {
      is: ' It is the folder of a model in a cache of Hugging Face.',
      fix: `Pass model: '${cached}' with cacheDir: '${dirname(folder)}'.`,
    }
  }
  const downloads = join(folder, '.cache/huggingface/download')
  if (existsSync(downloads) && readdirSync(downloads).some((name) => name.endsWith('.incomplete'))) {
    return { is: ' A download into it was not finished.', fix: 'Run the same hf download again: it continues.' }
  }
  return { is: '', fix: 'Pass the folder of a SAM 3 model, or the path of a checkpoint file.' }
}

/**
 * The weight file of `folder`: one of the usual names, or else the only file that can be one.
 * @throws Sam3ModelError `ERR_MODEL_NOT_FOUND` where there is none or where several could be meant, `ERR_MODEL_FORMAT`
 * where what is there has to be merged or gathered first.
 */
export function weightFileOf(folder: string): string {
  const files = readdirSync(folder).sort()
  const usual = USUAL.filter((name) => files.includes(name)).map((name) => join(folder, name))
  // An incomplete one is taken where there is nothing else: the engine says what it lacks.
  const chosen = usual.find(isWhole) ?? usual[0]
  if (chosen) return chosen
  const possible = files.filter((name) => WEIGHTS.test(name) && !OTHERS.test(name))
  if (possible.length === 1) return join(folder, possible[0]!)
  if (possible.length > 1) {
    throw new Sam3ModelError(
      'ERR_MODEL_NOT_FOUND',
      `${folder} holds several files that can be weights: ${possible.slice(0, 10).join(', ')}${possible.length > 10 ? ', …' : ''}.`,
      { fix: 'Pass the path of the one that is meant.' },
    )
  }
  if (files.some((name) => name === 'adapter_config.json' || name.startsWith('adapter_model.'))) {
    throw new Sam3ModelError('ERR_MODEL_FORMAT', `${folder} holds a LoRA adapter, not the weights of a whole model.`, {
      fix: 'Merge it in Python: PeftModel.from_pretrained(…).merge_and_unload().save_pretrained(folder).',
    })
  }
  if (files.some((name) => name.endsWith('.distcp'))) {
    throw new Sam3ModelError('ERR_MODEL_FORMAT', `${folder} is a distributed checkpoint, in pieces.`, {
      fix: 'Gather it in Python: torch.distributed.checkpoint.format_utils.dcp_to_torch_save(folder, "sam3.pt").',
    })
  }
  const { is, fix } = whatElse(folder)
  throw new Sam3ModelError('ERR_MODEL_NOT_FOUND', `${folder} holds no weights (${USUAL.join(', ')}).${is}`, { fix })
}
