import path from 'node:path'
import { root } from '../scripts/support/command.mjs'
import { MEASURES } from './measures.mjs'
import { SERVE_MEASURES } from './serve/measures.mjs'
import { KIND_MEASURES } from './video/kinds.mjs'
import { VIDEO_MEASURES } from './video/measures.mjs'

/**
 * What can be measured: the processes of the two sides (a script, a Python module), what has to be set up for them, the
 * weights where they are not the usual ones, and the measures. Only the image reference may see the torchvision that is kept for it: where that does not fit torch,
 * transformers' video models fail to import because of it.
 */
export const SUITES = {
  image: {
    ours: 'bench/ours.mjs',
    reference: 'bench.reference',
    setup: 'bench-packages',
    referenceEnv: { PYTHONPATH: path.join(root, 'bench/.cache/python') },
    measures: MEASURES,
  },
  video: {
    ours: 'bench/video/ours.mjs',
    reference: 'bench.video.reference',
    setup: 'test-packages',
    referenceEnv: {},
    measures: VIDEO_MEASURES,
  },
  // `video --model-kind 3.1`: both sides are ours.
  'video-3.1': {
    ours: 'bench/video/ours.mjs',
    setup: 'test-packages',
    kinds: ['sam3', 'sam3.1'],
    measures: KIND_MEASURES,
  },
  serve: {
    ours: 'bench/serve/ours.mjs',
    reference: 'bench.serve.reference',
    setup: 'bench-packages',
    referenceEnv: { PYTHONPATH: path.join(root, 'bench/.cache/python') },
    model: 'models/demo',
    measures: SERVE_MEASURES,
  },
}
