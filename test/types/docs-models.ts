// The example of docs/models.md, word for word. `tsc` checks this file (lint, `npm run typecheck`); it is never run.

import { buildSam3ImageModel } from '../../lib/index.js'

declare const secrets: { huggingFace: string }

const model = await buildSam3ImageModel() // facebook/sam3, downloaded if it is not there

const other = await buildSam3ImageModel({
  model: 'facebook/sam3', // a repository, a folder or a file
  revision: 'main', // a branch, a tag or a commit
  accessToken: secrets.huggingFace, // default: HF_TOKEN, then the file of hf auth login
  cacheDir: '/srv/models', // default: see below
  offline: false, // true: never use the network
  signal: AbortSignal.timeout(600_000), // stops a download; what has arrived is kept
  onProgress: ({ file, state, bytes, total, rate }) => console.log(file, state, bytes / total, rate),
})

export { model, other }
