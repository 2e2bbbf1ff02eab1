/** The built package as if it were installed into a folder: its own files copied, what they need linked. */
import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { repositoryRoot } from './paths.js'

/** @returns the folder */
export function installInto(folder: string): string {
  mkdirSync(path.join(folder, 'build'), { recursive: true })
  mkdirSync(path.join(folder, 'models'))
  // Code has to be copied: Node takes the real path of a file for its address.
  for (const name of ['package.json', 'dist/index.js', 'dist/index.cjs', 'dist/cli.js', 'build/Release']) {
    cpSync(path.join(repositoryRoot, name), path.join(folder, name), { recursive: true })
  }
  for (const name of ['programs', 'fonts', 'models/demo', 'node_modules']) {
    symlinkSync(path.join(repositoryRoot, name), path.join(folder, name))
  }
  return folder
}
