/** Which files of a repository are needed. The rules are data: a new kind of weights is one more line. */

/** `safetensors`: one file, or an index and its shards. `meta`: the file of Meta's own code, of SAM 3 or of SAM 3.1. */
export type WeightsKind = 'safetensors' | 'meta'

/** By falling preference. */
export const WEIGHTS_KINDS: readonly WeightsKind[] = ['safetensors', 'meta']

/** Exact names, or names with one `*` that stands for anything but a slash. */
interface FileRule {
  what: 'config' | 'tokenizer' | 'companions'
  names: readonly string[]
  /** With which weights a snapshot is no model without it. */
  neededBy: readonly WeightsKind[]
  /** With which weights that of the repository is preferred to what the package has in its place. */
  wantedBy: readonly WeightsKind[]
}

/**
 * Meta's code reads neither: its network and its vocabulary are fixed, and are those of the package. The companions are
 * what Python's transformers reads beside them, kilobytes, so that a shared cache serves both.
 */
const RULES: readonly FileRule[] = [
  { what: 'config', names: ['config.json'], neededBy: ['safetensors'], wantedBy: [] },
  { what: 'tokenizer', names: ['tokenizer.json'], neededBy: [], wantedBy: ['safetensors'] },
  {
    what: 'companions',
    names: [
      'tokenizer_config.json',
      'special_tokens_map.json',
      'vocab.json',
      'merges.txt',
      'processor_config.json',
      'preprocessor_config.json',
      'video_preprocessor_config.json',
    ],
    neededBy: [],
    wantedBy: [],
  },
]

/** Names of one way to store weights; the first is what says that it is there. */
const WEIGHTS: Readonly<Record<WeightsKind, readonly (readonly string[])[]>> = {
  safetensors: [['model.safetensors'], ['model.safetensors.index.json', 'model-*.safetensors']],
  meta: [['sam3.pt'], ['sam3.1_multiplex.pt']],
}

/** The file that lists shards, and in which a snapshot says what it needs. */
export const SHARD_INDEX = 'model.safetensors.index.json'

function matches(name: string, pattern: string): boolean {
  const [before = '', after] = pattern.split('*')
  if (after === undefined) return name === pattern
  return (
    name.length >= before.length + after.length &&
    name.startsWith(before) &&
    name.endsWith(after) &&
    !name.includes('/')
  )
}

/** What is to be had of a list of names. */
export interface Selection {
  files: string[]
  /** Without these it is no model, in words. */
  missing: string[]
  /** Names of files in whose place the package has something. */
  wanted: string[]
}

/** Names one of which says that weights of these kinds are there. */
export function weightNames(kinds: readonly WeightsKind[] = WEIGHTS_KINDS): string[] {
  return kinds.flatMap((kind) => WEIGHTS[kind].map(([first]) => first!))
}

/** Picks the files of a model with weights of one kind out of the names of a repository. */
export function selectFiles(names: readonly string[], kind: WeightsKind): Selection {
  const files: string[] = []
  const missing: string[] = []
  const wanted: string[] = []
  for (const rule of RULES) {
    const found = names.filter((name) => rule.names.some((pattern) => matches(name, pattern)))
    files.push(...found)
    if (found.length > 0) continue
    if (rule.neededBy.includes(kind)) missing.push(...rule.names)
    if (rule.wantedBy.includes(kind)) wanted.push(...rule.names)
  }
  const weights = WEIGHTS[kind].find(([first]) => names.includes(first!))
  if (weights) files.push(...names.filter((name) => weights.some((pattern) => matches(name, pattern))))
  else missing.push(weightNames([kind]).join(' or '))
  return { files, missing, wanted }
}
