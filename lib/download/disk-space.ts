/** Whether there is room, asked before the first byte: a full disk after an hour of downloading helps nobody. */
import { statfs } from 'node:fs/promises'
import { Sam3HubError } from '../base/errors.js'
import { existingFolder } from '../base/folders.js'

/** `3.4 GB`, in powers of ten as disks are sold. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3))
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`
}

/** Bytes that this user can still write where `folder` is or will be. */
export async function freeSpace(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(existingFolder(folder))
  return bavail * bsize
}

/** Bytes that are needed, where that is known, and that are free; how a user names another folder. */
export interface Shortage {
  needed?: number
  free: number
  elsewhere: string
  cause?: unknown
}

export function diskFull(folder: string, { needed, free, elsewhere, cause }: Shortage): Sam3HubError {
  const what = needed === undefined ? '' : `${formatBytes(needed)} are needed, `
  return new Sam3HubError(
    'ERR_DISK_FULL',
    `There is not enough room in ${folder}: ${what}${formatBytes(free)} are free.`,
    { cause, fix: `Free some space, or choose another folder with ${elsewhere}.` },
  )
}

/** Whether an error of the file system says that the disk, or the user's share of it, is full. */
export function isDiskFull(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** @throws Sam3HubError `ERR_DISK_FULL` with what is needed, what is free, and where. */
export async function checkSpace(folder: string, needed: number, elsewhere: string): Promise<void> {
  const free = await freeSpace(folder)
  if (needed > free) throw diskFull(folder, { needed, free, elsewhere })
}
