// The golden set in the form that the native tests read: a program exported for its weights, and its clip decoded.

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import sharp from 'sharp'
import { must, root } from './command.mjs'
import { isStamped, stamp } from './steps.mjs'

const GOLDEN = 'test/fixtures/golden'

async function goldenProgram(python) {
  const folder = 'build/test-models/program'
  const config = `${GOLDEN}/model/config.json`
  const inputs = { files: ['scripts/export', config] }
  if (!isStamped(folder, ['program.pt', 'names.json'], inputs)) {
    const args = ['-m', 'scripts.export', 'program', '--config', config, '--out', folder]
    await must(python, args, 'Read the last lines above: the export of the golden model failed.')
    stamp(folder, inputs)
  }
  return path.join(root, folder)
}

/** The native tests have no image decoder. */
async function decodedClip() {
  const frames = path.join(root, GOLDEN, 'images/clip_160x120')
  const clip = path.join(root, 'build/test-models/clip.rgb')
  const decoded = await Promise.all(
    readdirSync(frames)
      .sort()
      .map((name) => sharp(path.join(frames, name)).removeAlpha().raw().toBuffer()),
  )
  mkdirSync(path.dirname(clip), { recursive: true })
  writeFileSync(clip, Buffer.concat(decoded))
  return clip
}

/**
 * @param {{ python: string }} context of the set-up
 * @returns {Promise<Record<string, string>>} the environment of the native tests
 */
export async function goldenEnvironment({ python }) {
  return {
    SAM3_TEST_PROGRAM: await goldenProgram(python),
    SAM3_TEST_MODEL: path.join(root, GOLDEN, 'model'),
    SAM3_TEST_CLIP: await decodedClip(),
  }
}
