/** What the commands about models share. */
import { type CacheFolder, findCacheFolder } from '../../hub/cache-folder.js'
import { isRepositoryName } from '../../hub/layout.js'
import { Sam3InputError } from '../../base/errors.js'
import { shown } from '../../base/shown.js'

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` */
export function checkRepository(repo: string): string {
  if (isRepositoryName(repo)) return repo
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${shown(repo)} is not the name of a repository.`, {
    fix: 'Write it as owner/name, such as facebook/sam3.',
  })
}

export function cacheFolder(cacheDir: string | undefined): CacheFolder {
  return findCacheFolder(cacheDir, process.env)
}

/** `models/sam3 (the option cacheDir, relative to the working directory)` */
export function describeFolder({ path, source, relative }: CacheFolder): string {
  return `${path} (${source}${relative === undefined ? '' : `: ${relative}, taken from the working directory`})`
}
