/** The rules of a session as a model's config.json sets them. */
import { readFile } from 'node:fs/promises'
import { Sam3Error, Sam3ModelError } from '../../base/errors.js'
import { checkHeuristics, type HeuristicOptions, HEURISTICS } from './options.js'

type Names = (keyof HeuristicOptions)[]

/** `new_det_thresh` for `newDetThresh`: the reference's name, under which a config has it. */
function nameInConfig(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/**
 * What config.json of a SAM 3 model says about sessions, as transformers reads it: the reference's names, at the top or in
 * `tracker_config`. Whoever has calibrated a model of his own writes it there; that of facebook/sam3 has the defaults.
 * @throws Sam3ModelError `ERR_MODEL_FORMAT` for values that startSession refuses
 */
export async function readHeuristics(configFile: string): Promise<HeuristicOptions> {
  try {
    const { tracker_config: tracker, ...top } = JSON.parse(await readFile(configFile, 'utf8')) as Record<
      string,
      unknown
    >
    const config: Record<string, unknown> = { ...(tracker as object | undefined), ...top }
    const names = (Object.keys(HEURISTICS) as Names).filter((name) => (config[nameInConfig(name)] ?? null) !== null)
    const heuristics: HeuristicOptions = Object.fromEntries(names.map((name) => [name, config[nameInConfig(name)]]))
    checkHeuristics(heuristics)
    return heuristics
  } catch (cause) {
    const reason = cause instanceof Sam3Error ? cause.message : 'It is not valid JSON.'
    throw new Sam3ModelError('ERR_MODEL_FORMAT', `${configFile} cannot be used for videos: ${reason}`, {
      cause,
      fix: 'Correct it, or download it again.',
    })
  }
}
