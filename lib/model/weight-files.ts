/** Which file of a folder holds the weights: as repositories, Meta's trainer and the usual training loops name it. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Sam3ModelError } from '../errors.js'

/** By falling precedence. */
const USUAL = [
  'model.safetensors',
  'model.safetensors.index.json',
  'sam3.pt',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'checkpoint.pt',
] as const

const WEIGHTS = /\.(safetensors|safetensors\.index\.json|bin|pt|pth|ckpt)$/
/** What lies beside weights and is none: the program, the state of a training run, shards that an index lists. */
const OTHERS =
  /^(program\.pt|(optimizer|scheduler|scaler|rng_state|random_states|training_args|adapter_model|custom_checkpoint).*|.*-\d+-of-\d+\.\w+)$/

/**
 * The weight file of `folder`: one of the usual names, or else the only file that can be one.
 * @throws Sam3ModelError `ERR_MODEL_NOT_FOUND` where there is none or where several could be meant, `ERR_MODEL_FORMAT`
 * where what is there has to be merged or gathered first.
 */
export function weightFileOf(folder: string): string {
  const files = readdirSync(folder).sort()
  const usual = USUAL.find((name) => files.includes(name))
  if (usual) return join(folder, usual)
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
  throw new Sam3ModelError('ERR_MODEL_NOT_FOUND', `${folder} holds no weights (${USUAL.join(', ')}).`, {
    fix: 'Pass the folder of a SAM 3 model, or the path of a checkpoint file.',
  })
}
