// `npm run prebuild`: what the npm package holds besides JavaScript, into prebuilds/linux-x64: the loader and the engine,
// stripped, and the manifest that says for which LibTorch the engine is.
//
// The build itself is the set-up's. prebuildify moves and strips what it finds, so it is given copies.

import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkEngine } from './check-engine.mjs'
import { setup } from './setup.mjs'
import { must, root } from './support/command.mjs'
import { newestRequired } from './support/elf.mjs'
import { report } from './support/steps.mjs'

export const PREBUILDS = 'prebuilds/linux-x64'
const STAGE = 'build/prebuild'
/** The oldest Node that `engines` allows; with Node-API the file serves every later one. */
const TARGET = '20.11.0'

/**
 * @param {{ maxGlibc?: string }} [options]
 * @returns {Promise<{ libtorch: string }>}
 */
export async function prebuild({ maxGlibc } = {}) {
  const { libtorch } = await setup(['native', 'lib', 'program', 'demo-model'])
  const stage = path.join(root, STAGE)
  rmSync(stage, { recursive: true, force: true })
  rmSync(path.join(root, PREBUILDS), { recursive: true, force: true })
  mkdirSync(path.join(stage, 'build/Release'), { recursive: true })
  for (const name of ['package.json', 'build/Release/sam3_loader.node', 'build/Release/libsam3_engine.so'])
    copyFileSync(path.join(root, name), path.join(stage, name))
  const prebuildify = path.join(root, 'node_modules', '.bin', 'prebuildify')
  // `true` in the place of node-gyp: everything is built.
  const options = ['--napi', '--strip', '--tag-libc', '--target', TARGET, '--node-gyp', 'true']
  await must(
    prebuildify,
    [...options, '--cwd', stage, '--out', root],
    'Read the error above; strip comes with binutils (apt install binutils).',
  )
  const { facts } = await checkEngine({ folder: PREBUILDS, maxGlibc })
  const { torch } = JSON.parse(readFileSync(path.join(root, 'build/Release/sam3_engine.json'), 'utf8'))
  const { GLIBC: glibc, GLIBCXX: glibcxx } = newestRequired(Object.values(facts))
  // Without the folder of the LibTorch that it was built with: that is nobody else's.
  const manifest = { torch, glibc, glibcxx }
  writeFileSync(path.join(root, PREBUILDS, 'sam3_engine.json'), `${JSON.stringify(manifest)}\n`)
  return { libtorch }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const at = process.argv.indexOf('--max-glibc')
    await prebuild({ maxGlibc: at < 0 ? undefined : process.argv[at + 1] })
    for (const name of ['sam3-node.glibc.node', 'libsam3_engine.so', 'sam3_engine.json'])
      console.log(`${PREBUILDS}/${name}: ${(statSync(path.join(root, PREBUILDS, name)).size / 1000).toFixed(1)} kB`)
    console.log(readFileSync(path.join(root, PREBUILDS, 'sam3_engine.json'), 'utf8').trim())
  } catch (error) {
    report(error)
  }
}
