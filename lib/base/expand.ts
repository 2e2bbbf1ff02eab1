/** Paths that environment variables hold, read as Python's `os.path` reads them, so that both find the same folder. */
import { readFileSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'

export type Environment = Readonly<Record<string, string | undefined>>

/** The home of a user by name; undefined where there is none that this process can see. */
function homeOf(name: string): string | undefined {
  try {
    const own = userInfo()
    if (own.username === name) return own.homedir
  } catch {
    // a user without an entry, as containers have them
  }
  try {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((one) => one.startsWith(`${name}:`))
    return line?.split(':')[5]
  } catch {
    return undefined // Windows
  }
}

/** `os.path.expanduser`: `~` is the user's home, `~name` that of another; a user who is not known stays as it is. */
export function expandUser(path: string, env: Environment): string {
  const [, name, rest] = /^~([^/\\]*)(.*)$/s.exec(path) ?? []
  if (name === undefined) return path
  const home = name === '' ? (env.HOME ?? homedir()) : homeOf(name)
  return home === undefined ? path : `${home.replace(/\/+$/, '')}${rest}` || '/'
}

/** `os.path.expandvars`: `$NAME` and `${NAME}`; one that is not set stays as it is, and a value is not expanded again. */
export function expandVariables(path: string, env: Environment): string {
  return path.replace(/\$(?:(\w+)|\{([^}]*)\})/g, (whole, bare?: string, braced?: string) => {
    return env[bare ?? braced ?? ''] ?? whole
  })
}

/** What huggingface_hub does with the value of every variable that is a path, in its order. */
export function expandPath(path: string, env: Environment): string {
  return expandVariables(expandUser(path, env), env)
}
