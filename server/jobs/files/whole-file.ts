/** Files that are there whole or not at all. */
import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Puts what was written to `from` in the place of `to`, on the disk and not only in its cache. */
export async function moveInPlace(from: string, to: string): Promise<void> {
  const file = await open(from, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(from, to)
}

/** Writes a small JSON file. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  const part = join(dirname(path), `.${randomBytes(6).toString('hex')}`)
  const file = await open(part, 'wx')
  try {
    await file.writeFile(JSON.stringify(value))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(part, path).catch(async (error) => {
    await rm(part, { force: true })
    throw error
  })
}
