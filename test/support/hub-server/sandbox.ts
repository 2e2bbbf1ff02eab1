/** A hub, an empty home and a cache folder per test, and child processes that download. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll } from 'vitest'
import type { Environment } from '../../../lib/base/expand.js'
import { repositoryRoot } from '../paths.js'
import { HubServer } from './hub-server.js'
import { type HubRepository, makeRepository, modelFiles } from './repository.js'

export const REPO = 'facebook/sam3'
export const TOKEN = 'hf_aSecretThatMustNotBeSeen'

class Sandbox {
  readonly root = mkdtempSync(path.join(tmpdir(), 'sam3-hub-'))
  readonly server = new HubServer()
  #number = 0
  #folder = ''

  async start(): Promise<void> {
    await this.server.start()
  }

  async stop(): Promise<void> {
    await this.server.stop()
    rmSync(this.root, { recursive: true, force: true })
  }

  /** A fresh folder and a fresh hub with one model of `weights` bytes. */
  fresh(weights = 300_000, gated = false): HubRepository {
    this.#folder = path.join(this.root, String(++this.#number))
    mkdirSync(path.join(this.#folder, 'home'), { recursive: true })
    this.server.reset()
    this.server.tokens.set(TOKEN, 'granted')
    const repository = makeRepository(modelFiles(weights, this.#number), gated)
    this.server.repositories.set(REPO, repository)
    return repository
  }

  get cache(): string {
    return path.join(this.#folder, 'cache')
  }

  get repoFolder(): string {
    return path.join(this.cache, 'models--facebook--sam3')
  }

  /** An environment that knows nothing of the machine's own tokens and caches. */
  env(more: Record<string, string> = {}): Environment {
    return {
      HF_ENDPOINT: this.server.endpoint,
      HF_HOME: undefined,
      XDG_CACHE_HOME: path.join(this.#folder, 'home'),
      SAM3_CACHE_DIR: this.cache,
      HF_TOKEN: TOKEN,
      ...more,
    }
  }

  /** The same for a process of its own. */
  processEnv(more: Record<string, string> = {}): NodeJS.ProcessEnv {
    const { PATH } = process.env
    return { PATH, HOME: path.join(this.#folder, 'home'), ...(this.env(more) as NodeJS.ProcessEnv) }
  }
}

/** The sandbox of a file of tests: there before the first of them, and gone with all bundles after the last. */
export function sandbox(): Sandbox {
  const box = new Sandbox()
  beforeAll(() => box.start())
  afterAll(async () => {
    await box.stop()
    await removeBundles()
  })
  return box
}

/** All names below a folder that are files or links, sorted. */
export function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort()
}

/** Fails unless every visible blob has the content that its name says. */
export function wrongBlobs(
  repoFolder: string,
  hashes: { sha256(c: Buffer): string; gitBlobId(c: Buffer): string },
): string[] {
  const folder = path.join(repoFolder, 'blobs')
  let names: string[] = []
  try {
    names = readdirSync(folder)
  } catch {
    return [] // nothing yet
  }
  return names
    .filter((name) => !name.includes('.'))
    .filter((name) => {
      const content = readFileSync(path.join(folder, name))
      return (name.length === 64 ? hashes.sha256(content) : hashes.gitBlobId(content)) !== name
    })
}

const bundles = new Map<string, Promise<string>>()

/** A module of lib/ as plain JavaScript, for child processes. */
export function bundle(entry: string): Promise<string> {
  const made = bundles.get(entry)
  if (made) return made
  const outfile = path.join(repositoryRoot, 'build/test-hub', `${entry.replaceAll('/', '-')}.${process.pid}.mjs`)
  const making = build({
    entryPoints: [path.join(repositoryRoot, entry)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  }).then(() => outfile)
  bundles.set(entry, making)
  return making
}

/** Deletes what {@link bundle} made. */
export async function removeBundles(): Promise<void> {
  for (const file of bundles.values()) rmSync(await file, { force: true })
  bundles.clear()
}

/**
 * The repository in a place that every user can enter, which the folder that it lies in may not be; needs to be root.
 * @returns the place, and what takes it away
 */
function openToOthers(): { folder: string; close(): void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'sam3-others-'))
  execFileSync('mount', ['-o', 'bind,ro', repositoryRoot, folder])
  const close = () => {
    execFileSync('umount', [folder])
    rmdirSync(folder)
  }
  return { folder, close }
}

/**
 * Starts a process that resolves the model and prints JSON: `{folder}` or `{code, message}`.
 * @param options `uid`: as this user, for which this process has to be root
 */
export async function startPull(env: NodeJS.ProcessEnv, options: { uid?: number } = {}): Promise<ChildProcess> {
  const bundled = await bundle('lib/hub/resolve.ts')
  const place = options.uid === undefined ? undefined : openToOthers()
  const module = place ? path.join(place.folder, path.relative(repositoryRoot, bundled)) : bundled
  const script = `import { resolveRepository } from ${JSON.stringify(module)}
    resolveRepository('${REPO}').then(
      (folder) => console.log(JSON.stringify({ folder })),
      ({ code, message }) => console.log(JSON.stringify({ code, message })))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(place && { cwd: place.folder }),
    ...options,
  })
  if (place) child.once('close', place.close)
  return child
}

export interface PullOutcome {
  folder?: string
  code?: string
  message?: string
}

/** What such a process said; undefined when it was killed. */
export async function outcomeOf(child: ChildProcess): Promise<PullOutcome | undefined> {
  let stdout = ''
  let stderr = ''
  child.stdout!.on('data', (chunk) => (stdout += chunk))
  child.stderr!.on('data', (chunk) => (stderr += chunk))
  await new Promise((resolve) => child.once('close', resolve))
  if (child.signalCode) return undefined
  if (!stdout) throw new Error(`the process said nothing: ${stderr}`)
  return JSON.parse(stdout) as PullOutcome
}

/** Runs a program to its end. */
export function runProgram(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(program, args, { env, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr }),
    )
  })
}

export function sizeOf(file: string): number {
  return statSync(file).size
}
