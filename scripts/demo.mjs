// `npm run demo`: set-up, then the main jobs, into result/: an example picture, segmented by several words and by a click,
// and an example clip, through which two words are followed.
// `npm run demo -- --image photo.jpg --text spoon --point 520,375 --video clip.mp4 --follow cup --model ./sam3` asks for
// something else; --text and --follow can be repeated.

import path from 'node:path'
import { parseArgs } from 'node:util'
import { FOR_USE } from './setup.mjs'
import { afterSetup } from './support/after-setup.mjs'
import { root } from './support/command.mjs'

const { values } = parseArgs({
  options: {
    image: { type: 'string' },
    text: { type: 'string', multiple: true },
    point: { type: 'string' },
    video: { type: 'string' },
    follow: { type: 'string', multiple: true },
    frames: { type: 'string' },
    model: { type: 'string', default: 'demo' },
    out: { type: 'string', default: path.join(root, 'result') },
  },
})
await afterSetup(FOR_USE, () => import('./support/demo.mjs'), values)
