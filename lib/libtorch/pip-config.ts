/** Which package indexes pip would ask, by its environment variables and its configuration files: no Python is run. */
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Environment } from '../base/expand.js'

/** pip's files from the weakest to the strongest. */
function configFiles(env: Environment): string[] {
  if (env.PIP_CONFIG_FILE === '/dev/null') return []
  const home = env.HOME || homedir()
  const user = env.XDG_CONFIG_HOME || join(home, '.config')
  return [
    ...(env.XDG_CONFIG_DIRS || '/etc/xdg').split(':').map((folder) => join(folder, 'pip', 'pip.conf')),
    '/etc/pip.conf',
    join(home, '.pip', 'pip.conf'),
    join(user, 'pip', 'pip.conf'),
    ...(env.VIRTUAL_ENV ? [join(env.VIRTUAL_ENV, 'pip.conf')] : []),
    ...(env.PIP_CONFIG_FILE ? [env.PIP_CONFIG_FILE] : []),
  ]
}

/** The values of `[global]`, `[download]` and `[install]`; a value may go on over indented lines. */
function readConfig(text: string): Map<string, string> {
  const values = new Map<string, string>()
  let section = ''
  let key = ''
  for (const line of text.split(/\r?\n/)) {
    const header = /^\[(.+)\]\s*$/.exec(line)
    const pair = /^([A-Za-z][\w-]*)\s*[=:]\s*(.*)$/.exec(line)
    if (/^\s*[#;]/.test(line)) continue
    if (header) {
      section = header[1]!.trim()
      key = ''
    } else if (pair) {
      key = pair[1]!.toLowerCase().replaceAll('_', '-')
      if (['global', 'download', 'install'].includes(section)) values.set(key, pair[2]!.trim())
    } else if (/^\s+\S/.test(line) && key && values.has(key)) {
      values.set(key, `${values.get(key)} ${line.trim()}`.trim())
    }
  }
  return values
}

/** The addresses of the indexes, the main one first; those that are no web address are left out. */
export function pipIndexes(env: Environment): string[] {
  const merged = new Map<string, string>()
  for (const file of configFiles(env).filter(existsSync)) {
    for (const [key, value] of readConfig(readFileSync(file, 'utf8'))) merged.set(key, value)
  }
  const main = env.PIP_INDEX_URL || merged.get('index-url') || ''
  const more = env.PIP_EXTRA_INDEX_URL || merged.get('extra-index-url') || ''
  return `${main} ${more}`
    .split(/\s+/)
    .filter((url) => /^https?:\/\//.test(url))
    .map((url) => url.replace(/\/+$/, ''))
}
