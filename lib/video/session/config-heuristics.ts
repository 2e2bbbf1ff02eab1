/** The rules of a session as a model's config.json sets them. */
import { Sam3ModelError } from '../../base/errors.js'
import { readJson } from '../../model/config.js'
import { checkHeuristics, type HeuristicOptions, HEURISTICS } from './options.js'

type Names = (keyof HeuristicOptions)[]

/** `new_det_thresh` for `newDetThresh`: the reference's name, under which a config has it. */
function nameInConfig(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/**
 * What config.json of a SAM 3 model says about sessions, as transformers reads it: the reference's names, at the top or in
 * `tracker_config`. Whoever has calibrated a model of his own writes it there; that of facebook/sam3 has the defaults.
 * @throws Sam3ModelError `ERR_MODEL_FORMAT` for values that startSession refuses, and a file that is no JSON
 */
export function readHeuristics(configFile: string): HeuristicOptions {
  const { tracker_config: tracker, ...top } = readJson(configFile)
  const config: Record<string, unknown> = { ...(tracker as object | undefined), ...top }
  const names = (Object.keys(HEURISTICS) as Names).filter((name) => (config[nameInConfig(name)] ?? null) !== null)
  const heuristics: HeuristicOptions = Object.fromEntries(names.map((name) => [name, config[nameInConfig(name)]]))
  try {
    checkHeuristics(heuristics)
  } catch (cause) {
    const message = `${configFile} cannot be used for videos: ${(cause as Error).message}`
    throw new Sam3ModelError('ERR_MODEL_FORMAT', message, { cause, fix: 'Correct it, or download it again.' })
  }
  return heuristics
}
