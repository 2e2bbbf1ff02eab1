/** The packages for jobs in Redis, which only those need who have one. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Sam3EnvironmentError } from 'sam3-node'
import { packageRoot } from '../../../lib/base/package-root.js'

/** What is used of them. */
export interface QueuePackages {
  bullmq: typeof import('bullmq')
  ioredis: typeof import('ioredis')
}

/** @throws Sam3EnvironmentError `ERR_PACKAGE_MISSING`, whose fix is one command */
export async function loadPackages(): Promise<QueuePackages> {
  try {
    const [bullmq, ioredis] = await Promise.all([import('bullmq'), import('ioredis')])
    return { bullmq, ioredis }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    const { peerDependencies } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'))
    const names = ['bullmq', 'ioredis'].map((name) => `'${name}@${peerDependencies[name]}'`)
    throw new Sam3EnvironmentError('ERR_PACKAGE_MISSING', 'Jobs in Redis need packages that are not installed.', {
      cause,
      fix: `Run: npm install ${names.join(' ')}`,
    })
  }
}
