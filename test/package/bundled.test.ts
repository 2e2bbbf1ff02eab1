/** Inside of a bundle the library cannot find its files: it says so, and what to do; and that works. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { build, type BuildOptions, type Format } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

const run = promisify(execFile)
const root = mkdtempSync(path.join(tmpdir(), 'sam3-bundled-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

// Several models, since each asks for other files first.
const USE = `
  async function tryAll(models) {
    const said = []
    for (const model of models) {
      said.push(await buildSam3ImageModel({ model, device: 'cpu', offline: true }).then(
        (model) => model.dispose().then(() => 'works'),
        ({ code, message }) => ({ code, message })))
    }
    const isOurs = await buildSam3ImageModel({ device: 'tpu' }).catch((error) => error instanceof Sam3Error)
    console.log(JSON.stringify([isOurs, ...said]))
  }
  tryAll(process.argv.slice(2))`
beforeAll(() => {
  mkdirSync(`${root}/node_modules`)
  symlinkSync(repositoryRoot, `${root}/node_modules/sam3-node`)
  symlinkSync(`${repositoryRoot}/node_modules/sharp`, `${root}/node_modules/sharp`)
  writeFileSync(`${root}/app.cjs`, `const { buildSam3ImageModel, Sam3Error } = require('sam3-node')\n${USE}`)
  writeFileSync(`${root}/app.mjs`, `import { buildSam3ImageModel, Sam3Error } from 'sam3-node'\n${USE}`)
})

/** Bundles an app and runs the bundle with models. */
async function bundleAndRun(
  entry: string,
  format: Format,
  options: BuildOptions,
  ...models: string[]
): Promise<unknown[]> {
  const outfile = `${root}/out/${entry}.${format}.${format === 'esm' ? 'mjs' : 'cjs'}`
  const common = { bundle: true, platform: 'node', logLevel: 'silent' } as const
  await build({ entryPoints: [`${root}/${entry}`], outfile, format, ...common, ...options })
  const { stdout } = await run(process.execPath, [outfile, ...models], { cwd: root })
  return JSON.parse(stdout) as unknown[]
}

// With this, esbuild's advice, CommonJS dependencies run inside of an ES module.
const requireInModules = {
  js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url)",
}
const WAYS: [name: string, entry: string, format: Format, options: BuildOptions][] = [
  ['require into CommonJS', 'app.cjs', 'cjs', {}],
  ['require into CommonJS, minified', 'app.cjs', 'cjs', { minify: true }],
  ['import into CommonJS', 'app.mjs', 'cjs', {}],
  ['import into an ES module', 'app.mjs', 'esm', { banner: requireInModules }],
  ['require into an ES module', 'app.cjs', 'esm', { banner: requireInModules }],
]

describe('bundled by esbuild', () => {
  it.each(WAYS)('%s: the error names the cause and the remedy', async (_name, entry, format, options) => {
    const models = ['demo', 'facebook/sam3', `${repositoryRoot}/models/demo`]
    const [isOurs, ...said] = await bundleAndRun(entry, format, { external: ['sharp'], ...options }, ...models)
    expect(isOurs).toBe(true)
    const error = {
      code: 'ERR_BUNDLED',
      message: expect.stringMatching(
        /a bundler has put it into a bundle.*Mark sam3-node as external.*--external:sam3-node.*serverExternalPackages.*ssr\.external/,
      ),
    }
    expect(said).toEqual([error, error, error])
  })

  it.each(WAYS.slice(2, 4))('%s, with sam3-node external: works', async (_name, entry, format, options) => {
    expect(await bundleAndRun(entry, format, { ...options, external: ['sam3-node'] }, 'demo')).toEqual([true, 'works'])
  })

  it('the settings of docs/install.md are those of the error', () => {
    const page = readFileSync(`${repositoryRoot}/docs/install.md`, 'utf8')
    for (const setting of ['--external:sam3-node', 'serverExternalPackages', 'ssr: { external:'])
      expect(page).toContain(setting)
  })
})

it('only one file asks where the code lies, which bundlers and the CommonJS build change', () => {
  const sources = readdirSync(`${repositoryRoot}/lib`, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .filter((name) => /import\.meta|__dirname|__filename/.test(readFileSync(`${repositoryRoot}/lib/${name}`, 'utf8')))
  expect(sources).toEqual(['base/package-root.ts'])
})
