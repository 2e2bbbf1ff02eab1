/** `sam3-node cache`: what is in the cache, whether it is right, and how to get rid of it. */
import { createInterface } from 'node:readline/promises'
import { Command } from 'commander'
import { Sam3InputError, Sam3ModelError } from '../../base/errors.js'
import { type CachedRepository, listCache } from '../../hub/cache-list.js'
import { removeFromCache } from '../../hub/cache-remove.js'
import { verifyCache } from '../../hub/cache-verify.js'
import { formatBytes } from '../../download/disk-space.js'
import { cacheFolder, checkRepository, describeFolder } from './hub-options.js'

interface CacheOptions {
  cacheDir?: string
  json?: boolean
  revision?: string
  yes?: boolean
}

const CACHE_DIR = [
  '--cache-dir <folder>',
  'the cache (default: SAM3_CACHE_DIR, HF_HUB_CACHE, HF_HOME, else models/ of this package)',
] as const

export function cacheCommand(): Command {
  const ls = new Command('ls')
    .description('List models: revision, size, files, last use.')
    .option(...CACHE_DIR)
    .option('--json', 'print JSON')
    .action(list)
  const verify = new Command('verify')
    .description('Hash every file and compare it with its name.')
    .argument('[repo]', 'only this repository')
    .option(...CACHE_DIR)
    .action(check)
  const rm = new Command('rm')
    .description('Delete a model, or one revision of it. Asks first.')
    .argument('<repo>', 'such as facebook/sam3')
    .option('--revision <name>', 'only this branch, tag or commit')
    .option('-y, --yes', 'do not ask')
    .option(...CACHE_DIR)
    .action(remove)
  return new Command('cache')
    .description('Look after the models on disk.')
    .addCommand(ls)
    .addCommand(verify)
    .addCommand(rm)
}

async function list({ cacheDir, json }: CacheOptions): Promise<void> {
  const folder = cacheFolder(cacheDir)
  const repositories = await listCache(folder.path)
  if (json) {
    process.stdout.write(`${JSON.stringify({ folder: folder.path, repositories })}\n`)
    return
  }
  process.stdout.write(`${describeFolder(folder)}\n`)
  if (repositories.length === 0) process.stdout.write('No models. Download one with: sam3-node pull\n')
  for (const repository of repositories) process.stdout.write(describeRepository(repository))
}

function describeRepository({ repo, revisions, size, partial }: CachedRepository): string {
  const lines = revisions.map(({ commit, refs, size: bytes, files, broken, lastUsed }) => {
    const used = files > 0 ? `, last used ${lastUsed.toISOString().slice(0, 16).replace('T', ' ')}` : ''
    const faults = broken.length > 0 ? `, broken: ${broken.join(', ')}` : ''
    return `  ${commit}${refs.length > 0 ? ` (${refs.join(', ')})` : ''}  ${formatBytes(bytes)} in ${files} files${used}${faults}\n`
  })
  const unfinished = partial > 0 ? `, ${formatBytes(partial)} of it in unfinished downloads` : ''
  return `${repo}  ${formatBytes(size)}${unfinished}\n${lines.join('')}`
}

async function check(repo: string | undefined, { cacheDir }: CacheOptions): Promise<void> {
  const folder = cacheFolder(cacheDir)
  const counts = { right: 0, wrong: 0, broken: 0, partial: 0 }
  for await (const { repo: owner, name, size, state } of verifyCache(folder.path, repo && checkRepository(repo))) {
    counts[state]++
    process.stdout.write(`${state.padEnd(7)} ${owner} ${name} ${formatBytes(size)}\n`)
  }
  process.stdout.write(
    `${describeFolder(folder)}: ${counts.right} right, ${counts.wrong} wrong, ${counts.broken} broken links.\n`,
  )
  if (counts.wrong + counts.broken === 0) return
  process.stderr.write(
    'Repair it with sam3-node pull, which replaces what is wrong, or delete the model with sam3-node cache rm.\n',
  )
  process.exitCode = 1
}

async function remove(name: string, { cacheDir, revision, yes }: CacheOptions): Promise<void> {
  const repo = checkRepository(name)
  const folder = cacheFolder(cacheDir)
  const found = (await listCache(folder.path)).find((repository) => repository.repo === repo)
  if (!found) {
    throw new Sam3ModelError('ERR_MODEL_NOT_FOUND', `There is no ${repo} in ${describeFolder(folder)}.`, {
      fix: 'See what there is with: sam3-node cache ls.',
    })
  }
  const what = revision === undefined ? `${repo}, ${formatBytes(found.size)}` : `${repo} at ${revision}`
  if (!yes && !(await confirm(`Delete ${what} from ${folder.path}?`))) {
    process.stderr.write('Nothing was deleted.\n')
    process.exitCode = 1
    return
  }
  const removed = await removeFromCache(folder, repo, revision)
  process.stdout.write(removed ? `Deleted ${what}.\n` : `There is no ${what}.\n`)
  if (!removed) process.exitCode = 1
}

async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'There is nobody to ask: this is not a terminal.', {
      fix: 'Add --yes to delete without a question.',
    })
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim())
  } finally {
    terminal.close()
  }
}
