/** `sam3-node doctor`: what is found, what is missing, what to do. A check is a function in the list below. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { Command } from 'commander'
import { Sam3Error } from '../../base/errors.js'
import { type CacheFolder, probeFolder } from '../../hub/cache-folder.js'
import { formatBytes, freeSpace } from '../../download/disk-space.js'
import { hubEndpoint, isOffline } from '../../hub/environment.js'
import { checkAccess, makeClient } from '../../hub/client.js'
import { searchFolders } from '../../hub/resolve.js'
import { findSnapshot } from '../../hub/snapshot.js'
import { findToken, type Token } from '../../hub/token.js'
import { DEFAULT_MODEL } from '../../model/locate.js'
import { checkFfmpeg } from './ffmpeg.js'
import { judgeMachine } from './judgement.js'
import { describeFinding, type Finding, problem } from './findings.js'
import { lookAtMachine, toReport } from './machine.js'
import { cacheFolder, checkRepository, describeFolder } from '../models/hub-options.js'

/** What the checks look at. */
export interface DoctorContext {
  repo: string
  revision: string
  folder: CacheFolder
  env: NodeJS.ProcessEnv
  token: string | undefined
}

/** A check never throws for what it looks for. */
export type Check = (context: DoctorContext) => Promise<Finding[]>

/** Weights of facebook/sam3, in bytes: what a download needs. */
const USUAL_SIZE = 3_440_000_000

const CHECKS: readonly Check[] = [checkFfmpeg, checkFolder, checkModel, checkDisk, checkToken, checkHub]

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('Say what is found, what is missing, and what to do about it.')
    .argument('[repo]', 'the model that is wanted', DEFAULT_MODEL)
    .option('--revision <name>', 'branch, tag or commit', 'main')
    .option('--cache-dir <folder>', 'look there instead')
    .option('--token <token>', 'a Hugging Face token to try')
    .option('--json', 'print everything as JSON, for a bug report')
    .action(async (repo: string, options: { revision: string; cacheDir?: string; token?: string; json?: boolean }) => {
      const { revision, token, json } = options
      const context = {
        repo: checkRepository(repo),
        revision,
        folder: cacheFolder(options.cacheDir),
        env: process.env,
        token,
      }
      const machine = await lookAtMachine()
      const findings = judgeMachine(machine)
      for (const check of CHECKS) findings.push(...(await check(context)))
      if (json) process.stdout.write(`${toReport({ ...machine, findings }, homedir())}\n`)
      else process.stdout.write(findings.map(describeFinding).join(''))
      if (findings.some(({ state }) => state === 'problem')) process.exitCode = 1
    })
}

async function checkFolder({ folder }: DoctorContext): Promise<Finding[]> {
  try {
    probeFolder(folder)
  } catch (error) {
    return [problem('folder', error)]
  }
  const missing = existsSync(folder.path) ? '' : '; not there yet, made when it is needed'
  return [{ state: 'ok', subject: 'folder', text: `${describeFolder(folder)}${missing}` }]
}

async function checkModel({ repo, revision, folder, env }: DoctorContext): Promise<Finding[]> {
  const missing: string[] = []
  for (const path of searchFolders(folder, env)) {
    try {
      const snapshot = await findSnapshot(path, repo, revision)
      if (snapshot.missing.length === 0)
        return [{ state: 'ok', subject: 'model', text: `${repo} is complete in ${snapshot.folder}` }]
      if (path === folder.path) missing.push(...snapshot.missing)
    } catch (error) {
      if (path === folder.path) return [problem('model', error)]
    }
  }
  const fix = `Download it with: sam3-node pull ${repo}`
  return [{ state: 'note', subject: 'model', text: `${repo} is not downloaded; missing: ${missing.join(', ')}`, fix }]
}

async function checkDisk({ folder }: DoctorContext): Promise<Finding[]> {
  const free = await freeSpace(folder.path)
  const text = `${formatBytes(free)} are free for ${folder.path}`
  if (free >= USUAL_SIZE) return [{ state: 'ok', subject: 'disk', text }]
  return [
    {
      state: 'note',
      subject: 'disk',
      text,
      fix: `facebook/sam3 takes ${formatBytes(USUAL_SIZE)}: free some space, or set SAM3_CACHE_DIR.`,
    },
  ]
}

function tryToken({ token, env }: DoctorContext): Token | undefined | Sam3Error {
  try {
    return findToken(token, env)
  } catch (error) {
    if (error instanceof Sam3Error) return error
    throw error
  }
}

async function checkToken(context: DoctorContext): Promise<Finding[]> {
  const token = tryToken(context)
  if (token instanceof Sam3Error) return [problem('token', token)]
  if (token) return [{ state: 'ok', subject: 'token', text: `from ${token.source}` }]
  return [
    {
      state: 'note',
      subject: 'token',
      text: 'none',
      fix: 'facebook/sam3 needs one: log in with hf auth login, or set HF_TOKEN.',
    },
  ]
}

async function checkHub(context: DoctorContext): Promise<Finding[]> {
  const { repo, revision, env } = context
  if (isOffline(env)) return [{ state: 'note', subject: 'access', text: 'not asked for: HF_HUB_OFFLINE is set' }]
  const token = tryToken(context)
  if (token instanceof Sam3Error) return [] // said already
  try {
    const endpoint = hubEndpoint(env)
    await checkAccess(repo, revision, 'config.json', makeClient({ endpoint, token, retry: { attempts: 1 } }))
    return [{ state: 'ok', subject: 'access', text: `${repo} can be downloaded from ${endpoint}` }]
  } catch (error) {
    return [problem('access', error)]
  }
}
