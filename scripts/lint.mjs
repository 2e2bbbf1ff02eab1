// Lint and format check of every language here: `npm run lint`; with --fix (`npm run format`) they are mended in place.

import { FOR_LINT } from './setup.mjs'
import { afterSetup } from './support/after-setup.mjs'

await afterSetup(FOR_LINT, () => import('./support/lint.mjs'), { fix: process.argv.includes('--fix') })
