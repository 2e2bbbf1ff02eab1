/** `sam3-node pull`: brings a model into the cache, or up to date. */
import { Command, Option } from 'commander'
import { huggingFaceCache } from '../../hub/cache-folder.js'
import { formatBytes } from '../../download/disk-space.js'
import { hubEndpoint, isOffline } from '../../hub/environment.js'
import { makeClient } from '../../hub/client.js'
import { checkRevision } from '../../hub/layout.js'
import type { WeightsKind } from '../../hub/needed-files.js'
import { pullSnapshot } from '../../hub/pull.js'
import { resolveRepository } from '../../hub/resolve.js'
import { findSnapshot } from '../../hub/snapshot.js'
import { findToken } from '../../hub/token.js'
import { DEFAULT_MODEL } from '../../model/locate.js'
import { cacheFolder, checkRepository, describeFolder } from './hub-options.js'
import { interruptible } from '../common/interrupt.js'
import { DOWNLOAD_STOPPED, startPullView } from '../common/pull-progress.js'

interface PullOptions {
  revision: string
  cacheDir?: string
  token?: string
  weights?: WeightsKind
}

export function pullCommand(): Command {
  return new Command('pull')
    .description('Download a model into the cache, or bring it up to date. An interrupted download is continued.')
    .argument('[repo]', 'repository on Hugging Face', DEFAULT_MODEL)
    .option('--revision <name>', 'branch, tag or commit', 'main')
    .option(
      '--cache-dir <folder>',
      'the cache (default: SAM3_CACHE_DIR, HF_HUB_CACHE, HF_HOME, else models/ of this package)',
    )
    .option(
      '--token <token>',
      'Hugging Face token; other users may see it in the list of processes, so prefer HF_TOKEN',
    )
    .addOption(
      new Option(
        '--weights <kind>',
        "safetensors, or the file of Meta's own code (default: what is there, else safetensors)",
      ).choices(['safetensors', 'meta']),
    )
    .action(run)
}

async function run(name: string, { revision, cacheDir, token, weights }: PullOptions): Promise<void> {
  const repo = checkRepository(name)
  checkRevision(revision)
  const folder = cacheFolder(cacheDir)
  // Offline, the most that can be done is to say whether everything is there.
  if (isOffline(process.env)) {
    process.stdout.write(`${await resolveRepository(repo, { revision, cacheDir, offline: true })}\n`)
    return
  }
  if (!folder.chosen) {
    const theirs = await findSnapshot(huggingFaceCache(process.env), repo, revision, weights).catch(() => undefined)
    if (theirs?.missing.length === 0) {
      process.stderr.write(
        'It is complete in the cache of Hugging Face, and used from there. --cache-dir downloads it elsewhere.\n',
      )
      process.stdout.write(`${theirs.folder}\n`)
      return
    }
  }
  process.stderr.write(`${repo} at ${revision} into ${describeFolder(folder)}\n`)
  await interruptible(async (signal) => {
    const client = makeClient({ endpoint: hubEndpoint(process.env), token: findToken(token, process.env), signal })
    const view = startPullView()
    const onProgress = view.update
    // The bars end before the last word, or they would be drawn over it.
    const result = await pullSnapshot({ repo, revision, folder, client, weights, onProgress }).finally(view.stop)
    const size = result.files.reduce((sum, file) => sum + file.size, 0)
    const done = result.downloaded.length === 0 ? 'Everything was there' : `${result.downloaded.length} downloaded`
    process.stderr.write(`${done}: ${result.files.length} files, ${formatBytes(size)}, commit ${result.commit}.\n`)
    process.stdout.write(`${result.folder}\n`)
  }, DOWNLOAD_STOPPED)
}
