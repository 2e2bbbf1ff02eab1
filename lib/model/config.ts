/** What a model's config.json says about its network, held against what a program was made for. */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Sam3ModelError } from '../base/errors.js'

type Config = Record<string, unknown>

/** Where the configuration of a part that was saved alone stands in that of a whole model, by `model_type`. */
const WHOLE: Readonly<Record<string, (config: Config) => Config>> = {
  sam3_video: (config) => config,
  sam3: (config) => ({ detector_config: config }),
  sam3_tracker: trackerAlone,
  sam3_tracker_video: trackerAlone,
}

/** The image encoder is the detector's as well. */
function trackerAlone(config: Config): Config {
  return { tracker_config: config, detector_config: { vision_config: config.vision_config } }
}

/** The value at a dotted path, or undefined where the config does not say (and so means its default). */
function valueAt(config: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Config | null | undefined)?.[key], config)
}

/**
 * The object that a file of a model holds.
 * @throws Sam3ModelError `ERR_MODEL_FORMAT`
 */
export function readJson(path: string): Config {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof value === 'object' && value !== null) return value as Config
    throw new TypeError('not an object')
  } catch (cause) {
    throw new Sam3ModelError('ERR_MODEL_FORMAT', `${path} is not valid JSON.`, { cause, fix: 'Download it again.' })
  }
}

function wholeConfig(config: Config, path: string): Config {
  const { model_type: type = 'sam3_video' } = config
  const whole = WHOLE[String(type)]
  if (whole && Object.hasOwn(WHOLE, String(type))) return 'detector_config' in config ? config : whole(config)
  throw new Sam3ModelError(
    'ERR_MODEL_FORMAT',
    `${path} describes another model: its model_type is "${String(type)}".`,
    { fix: `Give a model whose model_type is one of ${Object.keys(WHOLE).join(', ')}.` },
  )
}

/**
 * What the shapes of the weights cannot show (heads, windows, …) must be what the program was made with.
 * @param configPath config.json of a whole model, of the image model alone (Sam3Model) or of a tracker alone
 * @param namesPath names.json of the program
 * @throws Sam3ModelError `ERR_MODEL_FORMAT`
 */
export function checkConfig(configPath: string, namesPath: string): void {
  const { config_checks: checks = {} } = readJson(namesPath) as { config_checks?: Config }
  let config = wholeConfig(readJson(configPath), configPath)
  // That of facebook/sam3.1 describes the tracker of SAM 3.
  if (Object.keys(checks).some((path) => path.startsWith('multiplex.')) && !('multiplex' in config))
    config = { ...config, tracker_config: undefined }
  const differences = Object.entries(checks)
    .map(([path, expected]) => ({ path, expected, actual: valueAt(config, path) }))
    .filter(({ expected, actual }) => actual !== undefined && JSON.stringify(actual) !== JSON.stringify(expected))
  if (differences.length === 0) return
  const list = differences.map(
    ({ path, expected, actual }) => `${path} is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`,
  )
  throw new Sam3ModelError(
    'ERR_MODEL_FORMAT',
    `${configPath} is not the network that this package was made for: ${list.join('; ')}.`,
    {
      fix: `Export a program for it into the same folder: python -m scripts.export program --config ${configPath} --out ${dirname(configPath)}.`,
    },
  )
}
