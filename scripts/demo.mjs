// `npm run demo`: set-up, then the main jobs: the example photograph, segmented by text, and the example clip, in which the
// same text is followed, into result/.
// `npm run demo -- --text spoon --image photo.jpg --video clip.mp4 --model ./sam3` asks for something else.

import path from 'node:path'
import { parseArgs } from 'node:util'
import { FOR_USE } from './setup.mjs'
import { afterSetup } from './support/after-setup.mjs'
import { root } from './support/command.mjs'

const { values } = parseArgs({
  options: {
    text: { type: 'string', default: 'cup' },
    video: { type: 'string' },
    frames: { type: 'string' },
    image: { type: 'string', default: path.join(root, 'examples/coffee.jpg') },
    model: { type: 'string' },
    out: { type: 'string', default: path.join(root, 'result') },
  },
})
await afterSetup(FOR_USE, () => import('./support/demo.mjs'), values)
