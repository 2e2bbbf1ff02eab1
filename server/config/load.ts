/** Options from flags, a file and the environment, in this order, each checked and with where it came from. */
import { readFileSync } from 'node:fs'
import { Sam3InputError } from 'sam3-node'
import { Compile } from 'typebox/compile'
import { shown } from '../../lib/base/shown.js'
import {
  flagName,
  OPTIONS,
  type OptionAbout,
  type OptionName,
  type ServeConfig,
  ServeSchema,
  variableName,
} from './schema.js'

const checker = Compile(ServeSchema)

/** Where the value of an option came from. */
export type Origin = 'default' | 'option' | `flag --${string}` | `variable ${string}` | `line ${number} of ${string}`

/** The options that hold, and where each came from. */
export interface LoadedConfig {
  config: ServeConfig
  origins: Record<string, Origin>
}

/** What options can be read from. */
export interface ConfigSources {
  /** By the options' own names: of a program that calls the service. */
  options?: Readonly<Record<string, unknown>>
  /** By the options' own names, with texts as values: of the command line. */
  flags?: Readonly<Record<string, unknown>>
  /** A file of lines `name = value`; `#` begins a comment. */
  file?: string
  env?: Readonly<Record<string, string | undefined>>
}

/**
 * Puts the options together: what a program passes, else flags, else the file, else the environment, else defaults.
 * @throws Sam3InputError `ERR_INVALID_ARGUMENT`, which names the option and where its value came from
 */
export function loadConfig({ options = {}, flags = {}, file, env = {} }: ConfigSources): LoadedConfig {
  const lines = file === undefined ? new Map<OptionName, Line>() : readFile(file)
  const config: Record<string, unknown> = {}
  const origins: Record<string, Origin> = {}
  const set = (name: OptionName, value: unknown, origin: Origin) => {
    config[name] = value
    origins[name] = origin
  }
  for (const name of Object.keys(options)) known(name, 'the options of the service')
  for (const about of OPTIONS) {
    const { name } = about
    const [line, text, variable] = [lines.get(name), flags[name], variableName(name)]
    if (options[name] !== undefined) set(name, options[name], 'option')
    else if (text !== undefined) set(name, read(about, text, `--${flagName(name)}`), `flag --${flagName(name)}`)
    else if (line) set(name, read(about, line.text, `${flagName(name)} in ${file}`), `line ${line.number} of ${file}`)
    else if (env[variable]) set(name, read(about, env[variable], variable), `variable ${variable}`)
    else if (about.default !== undefined) set(name, about.default, 'default')
  }
  const [error] = checker.Errors(config)
  if (error) {
    const name = error.instancePath.split('/')[1] as OptionName
    const about = OPTIONS.find((option) => option.name === name)
    const value = about?.secret ? 'the value given' : shown(config[name])
    throw invalid(`${flagName(name)} (${origins[name]}) cannot be ${value}: it ${error.message}.`, about)
  }
  return { config: config as unknown as ServeConfig, origins }
}

interface Line {
  text: string
  number: number
}

function readFile(path: string): Map<OptionName, Line> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `The file of options ${path} cannot be read (${code}).`, {
      cause,
      fix: 'Check the path that --config names.',
    })
  }
  const found = new Map<OptionName, Line>()
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const [, flag, value] = /^\s*([\w-]+)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (flag === undefined || value === undefined) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', `Line ${index + 1} of ${path} cannot be read.`, {
        fix: 'Write name = value, such as max-batch-size = 16; # begins a comment.',
      })
    }
    const option = OPTIONS.find(({ name }) => flagName(name) === flag)
    found.set(option?.name ?? known(flag, path), { text: value, number: index + 1 })
  }
  return found
}

function known(name: string, where: string): OptionName {
  if (OPTIONS.some((option) => option.name === name)) return name as OptionName
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `There is no option ${shown(name)} (${where}).`, {
    fix: 'Run sam3-node serve --help for all of them.',
  })
}

/** A value from text. */
function read(about: OptionAbout, value: unknown, where: string): unknown {
  if (typeof value !== 'string') return value // a switch
  if (about.type === 'list') return value.split(',').map((part) => part.trim())
  if (about.type === 'string') return value
  if (about.type === 'number' && /^-?\d+(\.\d+)?$/.test(value)) return Number(value)
  if (about.type === 'boolean' && /^(true|false|1|0)$/.test(value)) return value === 'true' || value === '1'
  throw invalid(`${where} cannot be ${shown(value)}: it is a ${about.type}.`, about)
}

function invalid(message: string, about: OptionAbout | undefined): Sam3InputError {
  return new Sam3InputError('ERR_INVALID_ARGUMENT', message, {
    fix: about ? `It is: ${about.description}.` : 'Run sam3-node serve --help for all options.',
  })
}

/** What holds and where it came from, a line for each option: `--print-config`. Secrets are counted, not shown. */
export function describeConfig({ config, origins }: LoadedConfig): string {
  const rows = OPTIONS.map(({ name, secret }) => {
    const value = config[name]
    const text =
      secret && Array.isArray(value)
        ? `(${value.length} hidden)`
        : value === undefined
          ? ''
          : withoutPassword(String(value))
    return [`${flagName(name)} = ${text}`.trimEnd(), origins[name] ?? 'default'] as const
  })
  const width = Math.max(...rows.map(([line]) => line.length))
  return rows.map(([line, origin]) => `${line.padEnd(width)}  # ${origin}`).join('\n')
}

/** Addresses may have a password in them. */
const withoutPassword = (text: string) => text.replaceAll(/(\w:\/\/)[^/@\s]*@/g, '$1…@')
