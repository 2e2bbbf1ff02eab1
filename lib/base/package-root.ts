/** The folder of this package, where engine, programs and demo model lie: its code alone is not enough. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Sam3EnvironmentError } from './errors.js'

/** Name of the package, in its manifest. */
const NAME = 'sam3-node'

function isRoot(folder: string): boolean {
  const manifest = join(folder, 'package.json')
  return existsSync(manifest) && (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }).name === NAME
}

function find(): string {
  // The CommonJS build has an address of its own here (tsup.config.ts); a bundler may leave nothing.
  const url: string | undefined = import.meta.url
  const file = url?.startsWith('file:') ? fileURLToPath(url) : undefined
  // The code runs from dist/ when it is installed and from lib/ in tests: walk up to the package's own manifest.
  for (let folder = file && dirname(file); folder; folder = folder === dirname(folder) ? undefined : dirname(folder)) {
    if (isRoot(folder)) return folder
  }
  throw new Sam3EnvironmentError(
    'ERR_BUNDLED',
    `The code of ${NAME} runs ${file ? `from ${file}` : 'inside of another file'}, and its engine and network are not there: a bundler has put it into a bundle.`,
    {
      fix: `Mark ${NAME} as external in the bundler, so that it is loaded from node_modules (esbuild: --external:${NAME}; Next.js: serverExternalPackages; Vite: ssr.external), and install it where the bundle runs.`,
    },
  )
}

let root: string | undefined

/**
 * Absolute path of the package's folder.
 * @throws Sam3EnvironmentError `ERR_BUNDLED`
 */
export function packageRoot(): string {
  root ??= find()
  return root
}

/** The `require` of the package, for what is not imported: a file of a dependency, or one that is needed only at times. */
export function packageRequire(): NodeJS.Require {
  return createRequire(join(packageRoot(), 'package.json'))
}
