/**
 * Paths of the Hugging Face cache, the same as Python's huggingface_hub makes:
 * `models--<owner>--<name>/{blobs/<hash>, refs/<revision>, snapshots/<commit>/<file>}`. Every part of a path that comes
 * from a server or a user is checked here, so that none can lead out of the cache.
 */
import { join, sep } from 'node:path'
import { Sam3HubError, Sam3InputError } from '../base/errors.js'
import { shown } from '../base/shown.js'

const COMMIT = /^[0-9a-f]{40}$/
const ETAG = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/
const REPOSITORY = /^[\w-][\w.-]*\/[\w-][\w.-]*$/

export function isRepositoryName(text: string): boolean {
  return REPOSITORY.test(text) && !text.includes('..') && !text.includes('--')
}

export function isCommit(revision: string): boolean {
  return COMMIT.test(revision)
}

/** Whether it is a name that the hub gives to contents: SHA-256, or git's SHA-1. */
export function isHash(name: string): boolean {
  return ETAG.test(name)
}

/** Whether `path`, relative and with forward slashes, stays inside the folder it is joined to, on any system. */
export function isSafePath(path: string): boolean {
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !/[\\:\x00-\x1f]/.test(part))
}

/** Of a branch or a tag: it is the name of a file in the cache. */
const LONGEST_REVISION = 255

/** @throws Sam3InputError `ERR_INVALID_ARGUMENT` for what cannot be a branch, a tag or a commit. */
export function checkRevision(revision: string): string {
  if (revision.length <= LONGEST_REVISION && isSafePath(revision) && !/[\s~^?*[]/.test(revision)) return revision
  throw new Sam3InputError('ERR_INVALID_ARGUMENT', `There is no revision ${shown(revision)}.`, {
    fix: "Use a branch such as 'main', a tag, or a commit of 40 characters.",
  })
}

function unsafe(what: string, value: string): Sam3HubError {
  return new Sam3HubError('ERR_UNSAFE_PATH', `The hub answered with ${what} ${shown(value)}, which is refused.`, {
    fix: 'Check HF_ENDPOINT: a hub that does this is broken, or hostile.',
  })
}

/** @throws Sam3HubError `ERR_UNSAFE_PATH` for what is no commit: it becomes a part of a path. */
export function checkCommit(commit: string): string {
  if (isCommit(commit)) return commit
  throw unsafe('the commit', commit)
}

/** Paths of one repository in one cache folder. */
export class RepositoryLayout {
  /** `models--owner--name` */
  readonly folder: string
  readonly locks: string

  constructor(
    readonly cache: string,
    readonly repo: string,
  ) {
    const name = `models--${repo.replaceAll('/', '--')}`
    this.folder = join(cache, name)
    this.locks = join(cache, '.locks', name)
  }

  get blobs(): string {
    return join(this.folder, 'blobs')
  }

  /** Where newer versions of huggingface_hub keep contents for all models of the cache, at `<first two digits>/<hash>`. */
  get sharedBlobs(): string {
    return join(this.cache, 'blobs')
  }

  blob(etag: string): string {
    if (!isHash(etag)) throw unsafe('the hash', etag)
    return join(this.blobs, etag)
  }

  /**
   * The part of a blob that has arrived. Not `<etag>.incomplete`, to which older versions of huggingface_hub append:
   * two programs appending to one file would spoil it.
   */
  partial(etag: string): string {
    return `${this.blob(etag)}.sam3-node.incomplete`
  }

  /** For files on their way to another name: what a kill leaves here is in nobody's way. */
  get scratch(): string {
    return join(this.folder, '.sam3-node')
  }

  /** Says that a blob's hash was found right, and of which state of the file that was said. */
  verified(etag: string): string {
    this.blob(etag)
    return join(this.scratch, 'verified', etag)
  }

  /** Folder of this library's lock of a blob. */
  lock(etag: string): string {
    this.blob(etag)
    return join(this.locks, `${etag}.sam3-node`)
  }

  /** The lock file of Python's huggingface_hub. */
  pythonLock(etag: string): string {
    this.blob(etag)
    return join(this.locks, `${etag}.lock`)
  }

  ref(revision: string): string {
    return join(this.folder, 'refs', ...checkRevision(revision).split('/'))
  }

  get snapshots(): string {
    return join(this.folder, 'snapshots')
  }

  snapshot(commit: string): string {
    return join(this.snapshots, checkCommit(commit))
  }

  pointer(commit: string, path: string): string {
    if (!isSafePath(path)) throw unsafe('the file name', path)
    return join(this.snapshot(commit), ...path.split('/'))
  }

  /** An empty file that says that a commit has no file of that name: Python makes them too. */
  noExist(commit: string, path: string): string {
    this.pointer(commit, path)
    return join(this.folder, '.no_exist', commit, ...path.split('/'))
  }
}

/** Whether `path` is `folder` or inside of it. Both absolute, with links resolved. */
export function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}
