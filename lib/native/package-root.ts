/** The folder of this package: where build results, programs and models lie. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

function find(): string {
  // The code runs from dist/ when it is installed and from lib/ in tests: walk up to the package's own manifest.
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json')
    if (existsSync(manifest) && (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }).name === 'sam3-node')
      return folder
    if (folder === dirname(folder)) return process.cwd()
  }
}

let root: string | undefined

/** Absolute path of the package's folder. */
export function packageRoot(): string {
  root ??= find()
  return root
}
