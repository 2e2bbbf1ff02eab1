/** Without the packages of the service the library and its command line work; `serve` says which command brings them. */
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

interface Manifest {
  dependencies: Record<string, string>
  peerDependencies: Record<string, string>
  peerDependenciesMeta: Record<string, { optional: boolean }>
}
const manifest = JSON.parse(readFileSync(path.join(repositoryRoot, 'package.json'), 'utf8')) as Manifest

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-without-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
beforeAll(() => {
  cpSync(path.join(repositoryRoot, 'package.json'), path.join(folder, 'package.json'))
  cpSync(path.join(repositoryRoot, 'dist'), path.join(folder, 'dist'), { recursive: true })
  for (const name of Object.keys(manifest.dependencies)) install(name)
})

function install(name: string): void {
  mkdirSync(path.dirname(path.join(folder, 'node_modules', name)), { recursive: true })
  symlinkSync(path.join(repositoryRoot, 'node_modules', name), path.join(folder, 'node_modules', name))
}

const run = (...args: string[]) =>
  promisify(execFile)(process.execPath, args, { cwd: folder }).catch((error: { stderr: string; code: number }) => error)

it('every package of the service is optional', () => {
  const names = Object.keys(manifest.peerDependencies)
  expect(names).toContain('fastify')
  expect(Object.keys(manifest.peerDependenciesMeta)).toEqual(names)
  for (const { optional } of Object.values(manifest.peerDependenciesMeta)) expect(optional).toBe(true)
})

it('the library and the other commands do not ask for them', async () => {
  expect((await run('dist/cli.js', '--help')).stderr).toBe('')
  for (const load of ['import("sam3-node")', 'import("sam3-node/server")', 'require("sam3-node/server")'])
    expect((await run('-e', load)).stderr).toBe('')
})

it.each([
  ['sam3-node serve', ['dist/cli.js', 'serve', '--model', 'demo']],
  [
    'startServer of an ES module',
    ['--input-type=module', '-e', 'await (await import("sam3-node/server")).startServer()'],
  ],
  ['startServer of CommonJS', ['-e', 'require("sam3-node/server").startServer()']],
])('%s names the command that brings them', async (_what, args) => {
  const { stderr, ...outcome } = await run(...args)
  expect(outcome).toMatchObject({ code: 1 })
  expect(stderr).toContain('ERR_PACKAGE_MISSING')
  const [, packages] = /Run: npm install (.*'prom-client.*)/.exec(stderr)!
  expect(packages).toContain(`'fastify@${manifest.peerDependencies.fastify}'`)
  expect(packages).not.toContain('bullmq')
})

it('a worker names those of its queue, when all others are there', async () => {
  const own = ['bullmq', 'ioredis']
  for (const name of Object.keys(manifest.peerDependencies)) if (!own.includes(name)) install(name)
  const { stderr, ...outcome } = await run('dist/cli.js', 'work', '--redis', 'redis://127.0.0.1:1', '--port', '0')
  expect(outcome).toMatchObject({ code: 1 })
  const packages = own.map((name) => `'${name}@${manifest.peerDependencies[name]}'`)
  expect(stderr).toContain(`Run: npm install ${packages.join(' ')}`)
})
