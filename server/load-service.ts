/** Loads what needs the optional packages, or says which of them are missing. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Sam3EnvironmentError } from 'sam3-node'
import { packageRequire, packageRoot } from '../lib/base/package-root.js'

interface Manifest {
  peerDependencies: Readonly<Record<string, string>>
}

/** Packages that the service works without, until an option asks for them. */
const FOR_OPTIONS: ReadonlySet<string> = new Set(['bullmq', 'ioredis'])

/** @throws Sam3EnvironmentError `ERR_PACKAGE_MISSING`, whose fix is one command */
export async function loadService(): Promise<typeof import('./service.js')> {
  try {
    return await import('./service.js')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    const missing = missingPeers()
    if (missing.length === 0) throw error
    throw packagesMissing(missing, error)
  }
}

function missingPeers(): string[] {
  const { peerDependencies } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as Manifest
  const isThere = (name: string) =>
    (packageRequire().resolve.paths(name) ?? []).some((folder) => existsSync(join(folder, name, 'package.json')))
  return Object.entries(peerDependencies)
    .filter(([name]) => !FOR_OPTIONS.has(name) && !isThere(name))
    .map(([name, range]) => `${name}@${range}`)
}

/** The error for packages (with their ranges) that have to be installed first. */
function packagesMissing(packages: readonly string[], cause: unknown): Sam3EnvironmentError {
  return new Sam3EnvironmentError('ERR_PACKAGE_MISSING', 'The service needs packages that are not installed.', {
    cause,
    fix: `Run: npm install ${packages.map((name) => `'${name}'`).join(' ')}`,
  })
}
