/** Options from flags, a file and the environment, and where each came from. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Sam3InputError } from '../../lib/index.js'
import { type ConfigSources, describeConfig, loadConfig } from '../../server/config/load.js'
import { flagName, OPTIONS, variableName } from '../../server/config/schema.js'
import { runHere } from '../support/command-line.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-config-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
function file(text: string): string {
  const name = path.join(folder, `options-${files++}`)
  writeFileSync(name, text)
  return name
}

describe('options of the service', () => {
  it('have defaults, of which the address is the one of this machine alone', () => {
    const { config, origins } = loadConfig({})
    expect(config).toMatchObject({ host: '127.0.0.1', port: 8080, maxQueueDelayMs: 0 })
    expect(Object.values(origins)).toEqual(Object.values(origins).map(() => 'default'))
  })

  it('come from a flag before the file, from the file before a variable', () => {
    const env = {
      SAM3_SERVE_PORT: '1',
      SAM3_SERVE_MAX_PROMPTS: '2',
      SAM3_SERVE_MAX_IMAGES: '3',
      SAM3_SERVE_TOKENS: 'a, b',
    }
    const name = file('# limits\nport = 4\n\nmax-prompts = 5\nwarmup = false\n')
    const { config, origins } = loadConfig({ flags: { port: '6' }, file: name, env })
    expect(config).toMatchObject({ port: 6, maxPrompts: 5, maxImages: 3, tokens: ['a', 'b'], warmup: false })
    expect(origins).toMatchObject({
      port: 'flag --port',
      maxPrompts: `line 4 of ${name}`,
      maxImages: 'variable SAM3_SERVE_MAX_IMAGES',
      host: 'default',
    })
  })

  const mistakes: [string, ConfigSources, RegExp][] = [
    ['a number that is none', { flags: { port: 'x' } }, /--port cannot be 'x': it is a number/],
    [
      'a number out of range',
      { env: { SAM3_SERVE_PORT: '99999' } },
      /port \(variable SAM3_SERVE_PORT\) cannot be 99999/,
    ],
    ['a word that is none of the choices', { flags: { dtype: 'int8' } }, /dtype \(flag --dtype\) cannot be 'int8'/],
    ['a switch that is neither', { flags: { warmup: 'maybe' } }, /--warmup cannot be 'maybe': it is a boolean/],
    ['an option that is not there', { options: { prt: 1 } }, /no option 'prt'/],
    ['a line that is none', { file: file('port 4') }, /Line 1 of .* cannot be read/],
    ['a file that is not there', { file: path.join(folder, 'none') }, /cannot be read \(ENOENT\)/],
  ]
  it.each(mistakes)('say what is wrong: %s', (_what, sources, message) => {
    expect(() => loadConfig(sources)).toThrow(Sam3InputError)
    expect(() => loadConfig(sources)).toThrow(message)
  })

  it('never show a secret', () => {
    const loaded = loadConfig({ options: { tokens: ['open-sesame'] } })
    expect(describeConfig(loaded)).not.toContain('open-sesame')
    expect(() => loadConfig({ options: { tokens: ['open-sesame', ''] } })).toThrow(/^(?!.*open-sesame)/)
  })
})

describe('sam3-node serve', () => {
  it('--help teaches every option that is no secret, and how else it can be given', async () => {
    const { code, stdout } = await runHere(['serve', '--help'])
    expect(code).toBe(0)
    for (const { name, secret } of OPTIONS) expect(stdout.includes(`--${flagName(name)} `), name).toBe(!secret)
    expect(stdout).toContain(variableName('tokens'))
  })

  it('--print-config shows what holds, and where it came from', async () => {
    const { stdout } = await runHere(['serve', '--print-config', '--port', '7'], {
      env: { ...process.env, SAM3_SERVE_MAX_PROMPTS: '9' },
    })
    expect(stdout).toMatch(/^port = 7 +# flag --port$/m)
    expect(stdout).toMatch(/^max-prompts = 9 +# variable SAM3_SERVE_MAX_PROMPTS$/m)
    expect(stdout).toMatch(/^host = 127\.0\.0\.1 +# default$/m)
  })

  it('says what cannot be understood, with exit code 2', async () => {
    expect(await runHere(['serve', '--prt', '7'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("'--prt'"),
    })
    const bad = await runHere(['serve', '--port', 'x'])
    expect(bad).toMatchObject({ code: 2, stderr: expect.stringContaining('ERR_INVALID_ARGUMENT') })
  })
})
