// clang-tidy over all of our C++, some minutes: `npm run tidy`. Lint does it for the files without LibTorch.

import { FOR_TIDY } from './setup.mjs'
import { afterSetup } from './support/after-setup.mjs'

await afterSetup(FOR_TIDY, () => import('./support/tidy.mjs'))
