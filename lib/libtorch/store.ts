/** The folder in which LibTorchs are kept: one folder, or link to one, per version and flavour. */
import { existsSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { lstat, mkdir, readdir, rename, rm, stat, symlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { randomUUID } from 'node:crypto'
import { Sam3EnvironmentError } from '../base/errors.js'
import { absoluteFolder } from '../base/folders.js'
import { type Environment, expandPath } from '../base/expand.js'

/** How a user names another folder. */
export const ELSEWHERE = '--dir or SAM3_LIBTORCH_DIR'

/** Name of a LibTorch in the store, such as `2.13.0+cu126`. */
const NAME = /^(\d+\.\d+\.\d+)\+([a-z0-9.]+)$/

/** `SAM3_LIBTORCH_DIR`, else `sam3-node/libtorch` in the user's cache folder. */
export function storeFolder(env: Environment): string {
  if (env.SAM3_LIBTORCH_DIR) return absoluteFolder(expandPath(env.SAM3_LIBTORCH_DIR, env), 'SAM3_LIBTORCH_DIR').path
  const cache = env.XDG_CACHE_HOME ? expandPath(env.XDG_CACHE_HOME, env) : join(env.HOME || homedir(), '.cache')
  return join(cache, 'sam3-node', 'libtorch')
}

/** A LibTorch in the store. */
export interface StoredLibtorch {
  name: string
  version: string
  flavour: string
  /** Where it really is: LibTorch finds its companions by that path. */
  folder: string
  /** Set when it lies elsewhere, and only a link to it is kept here. */
  link: boolean
}

/** What is in the store, the newest version first; links that lead nowhere are left out. */
export function listStore(store: string): StoredLibtorch[] {
  if (!existsSync(store)) return []
  return readdirSync(store, { withFileTypes: true })
    .flatMap((entry) => {
      const [, version, flavour] = NAME.exec(entry.name) ?? []
      const path = join(store, entry.name)
      if (!version || !flavour || !existsSync(path)) return []
      return [{ name: entry.name, version, flavour, folder: realpathSync(path), link: entry.isSymbolicLink() }]
    })
    .sort((one, other) => other.name.localeCompare(one.name, 'en', { numeric: true }))
}

/** Bytes of the files below a folder. */
export async function folderSize(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size
  }
  return bytes
}

/** Removes folders that an unpacking left which was killed. Call it with the lock of the store. */
export async function removeStale(store: string): Promise<void> {
  for (const name of await readdir(store)) {
    if (name.startsWith('.unpacking-')) await rm(join(store, name), { recursive: true, force: true })
  }
}

/** A folder in the store for what is not complete yet. */
export async function stagingFolder(store: string): Promise<string> {
  const folder = join(store, `.unpacking-${randomUUID()}`)
  await mkdir(folder, { recursive: true })
  return folder
}

/** Gives a complete folder its name, at once. A link of that name gives way; its target is left alone. */
export async function place(staged: string, store: string, name: string): Promise<string> {
  const path = join(store, name)
  if ((await lstat(path).catch(() => undefined))?.isSymbolicLink()) await rm(path)
  await rename(staged, path)
  return path
}

/**
 * Remembers a LibTorch that lies elsewhere under its version.
 * @throws Sam3EnvironmentError `ERR_LIBTORCH_DOWNLOAD` where one is installed under that name
 */
export async function link(store: string, name: string, folder: string): Promise<void> {
  await mkdir(store, { recursive: true })
  const path = join(store, name)
  const there = await lstat(path).catch(() => undefined)
  if (there?.isSymbolicLink() && resolve(store, readlinkSync(path)) === folder) return
  if (there && !there.isSymbolicLink()) {
    throw new Sam3EnvironmentError('ERR_LIBTORCH_DOWNLOAD', `LibTorch ${name} is installed already: ${path}.`, {
      fix: `Delete that folder first, or set LIBTORCH to ${folder}.`,
    })
  }
  const temporary = join(store, `.unpacking-${randomUUID()}`)
  await symlink(folder, temporary)
  await rename(temporary, path)
}
