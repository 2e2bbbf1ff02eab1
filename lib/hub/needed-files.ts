/** Which files of a repository are needed. The rules are data: a new kind of weights is one more line. */

/** Exact names, or names with one `*` that stands for anything but a slash. */
interface FileRule {
  what: 'config' | 'tokenizer' | 'companions'
  names: readonly string[]
  required: boolean
}

/** The companions are what Python's transformers reads beside them, kilobytes, so that a shared cache serves both. */
const RULES: readonly FileRule[] = [
  { what: 'config', names: ['config.json'], required: true },
  { what: 'tokenizer', names: ['tokenizer.json'], required: true },
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
    required: false,
  },
]

/** `safetensors`: one file, or an index and its shards. `meta`: the file of Meta's own code. */
export type WeightsKind = 'safetensors' | 'meta'

/** Names of one way to store weights; the first is what says that it is there. */
const WEIGHTS: Readonly<Record<WeightsKind, readonly (readonly string[])[]>> = {
  safetensors: [['model.safetensors'], ['model.safetensors.index.json', 'model-*.safetensors']],
  meta: [['sam3.pt']],
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

/** What is to be had of a list of names, and what it lacks, in words. */
export interface Selection {
  files: string[]
  missing: string[]
}

/** Picks the needed files out of the names of a repository. */
export function selectFiles(names: readonly string[], kind: WeightsKind = 'safetensors'): Selection {
  const files: string[] = []
  const missing: string[] = []
  for (const rule of RULES) {
    const found = names.filter((name) => rule.names.some((pattern) => matches(name, pattern)))
    files.push(...found)
    if (rule.required && found.length === 0) missing.push(...rule.names)
  }
  const weights = WEIGHTS[kind].find(([first]) => names.includes(first!))
  if (weights) files.push(...names.filter((name) => weights.some((pattern) => matches(name, pattern))))
  else missing.push(WEIGHTS[kind].map(([first]) => first).join(' or '))
  return { files, missing }
}
