// What the native tests need of the goldens: a program exported for the model, the clips decoded (they have no image
// decoder) and the recorded texts as tokens (they have no tokenizer).

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import sharp from 'sharp'
import { must, root, SetupError } from './command.mjs'
import { isStamped, stamp } from './steps.mjs'

const OWN = path.join(root, 'test', 'fixtures', 'golden')
const OWN_MULTIPLEX = path.join(root, 'test', 'fixtures', 'golden31')
/**
 * Texts that tests ask for beside the recorded ones; `visual` stands for boxes without a text, in videos of SAM 3.1 the
 * other one does.
 */
const TEXTS = ['visual', '<text placeholder>', 'cat', 'a red ellipse']

/** The set that golden tests replay: the one that the variable names, else the project's own. */
function replayedSet(variable, own) {
  if (!existsSync(path.join(own, 'model', 'model.safetensors')))
    throw new SetupError(`The goldens in ${path.relative(root, own)} are not unpacked.`, 'Run: npm run setup fixtures')
  const named = process.env[variable]
  if (!named) return own
  const set = path.resolve(named)
  if (!existsSync(path.join(set, 'cases')) || !existsSync(path.join(set, 'model', 'config.json')))
    throw new SetupError(
      `${variable}=${named}: no set of goldens (cases/, model/config.json) is in ${set}.`,
      "Name one, or unset it to replay the project's own.",
    )
  return set
}

const digestOf = (file) => createHash('sha256').update(readFileSync(file)).digest('hex')

/** The folder of the clip of a set of SAM 3.1 (clip_<width>x<height>): its own, that of the set beside it, or ours. */
function clipFolder(set) {
  for (const images of [path.join(set, 'images'), path.join(set, '..', 'public', 'images'), path.join(OWN, 'images')]) {
    const name = existsSync(images) && readdirSync(images).find((one) => /^clip_\d+x\d+$/.test(one))
    if (name) return path.join(images, name)
  }
  throw new SetupError(`No clip (clip_<width>x<height>) belongs to ${set}.`, 'Restore test/fixtures/golden from git.')
}

/**
 * The programs of a set of SAM 3.1: for the slots of its model, and for the few of s4.safetensors, whose tensors replace
 * those of the model.
 */
async function exportMultiplex(python, set, folder) {
  const model = path.join(set, 'model')
  const files = ['config.json', 'model.safetensors', 's4.safetensors'].map((name) => path.join(model, name))
  const inputs = { files: ['scripts/export', 'scripts/few-slots.py'], values: files.map((file) => digestOf(file)) }
  const outputs = ['all/program.pt', 'all/names.json', 'few/program.pt', 'few/names.json', 'few/model.safetensors']
  if (isStamped(folder, outputs, inputs)) return
  const few = path.join(folder, 'few')
  await must(python, ['scripts/few-slots.py', model, few], 'Read the last lines above.')
  for (const [name, config] of [
    ['all', files[0]],
    ['few', path.join(few, 'config.json')],
  ]) {
    const args = ['-m', 'scripts.export', 'program', '--config', config, '--out', path.join(folder, name)]
    await must(python, args, 'Read the last lines above: the export of the golden model failed.')
  }
  stamp(folder, inputs)
}

/** The recordings of a set that have a clip. */
function recordingsOf(set) {
  const files = ['text_video', 'tracker_video'].map((family) => path.join(set, 'cases', `${family}.json`))
  return files.filter(existsSync).map((file) => JSON.parse(readFileSync(file, 'utf8')))
}

/** The texts of the runs of a set of SAM 3.1. */
function multiplexTexts(set) {
  const runs = JSON.parse(readFileSync(path.join(set, 'cases', 'video.json'), 'utf8'))
  return Object.values(runs).flatMap(({ ops }) => ops.flatMap(({ text }) => (text === undefined ? [] : [text])))
}

async function exportProgram(python, set, folder) {
  const config = path.join(set, 'model', 'config.json')
  const inputs = { files: ['scripts/export'], values: [readFileSync(config, 'utf8')] }
  if (isStamped(folder, ['program.pt', 'names.json'], inputs)) return
  const args = ['-m', 'scripts.export', 'program', '--config', config, '--out', folder]
  await must(python, args, 'Read the last lines above: the export of the golden model failed.')
  stamp(folder, inputs)
}

async function decodeClip(frames, file) {
  const decoded = await Promise.all(
    readdirSync(frames)
      .sort()
      .map((name) => sharp(path.join(frames, name)).toColourspace('srgb').removeAlpha().raw().toBuffer()),
  )
  writeFileSync(file, Buffer.concat(decoded))
}

async function decodeClips(set, folder) {
  mkdirSync(folder, { recursive: true })
  for (const clip of new Set(recordingsOf(set).map((recording) => recording.clip)))
    await decodeClip(path.join(set, 'images', clip), path.join(folder, `${clip}.rgb`))
}

/** Writes the tokens of all texts that tests ask for, as rows of the network's context. */
function writeTokens(sets, texts, file) {
  const tokenizer = new Tokenizer(JSON.parse(readFileSync(path.join(OWN, 'model', 'tokenizer.json'), 'utf8')), {})
  const recorded = sets.flatMap(recordingsOf).flatMap(({ runs }) => runs.map(({ prompt }) => prompt?.text_str))
  const rows = {}
  for (const text of [...TEXTS, ...texts, ...recorded.filter((one) => one !== undefined)]) {
    const { ids } = tokenizer.encode(text)
    const row = ids.slice(0, 32)
    row[row.length - 1] = ids.at(-1) // a longer text ends with the end token all the same
    rows[text] = [...row, ...Array(32 - row.length).fill(0)]
  }
  writeFileSync(file, JSON.stringify(rows))
}

/**
 * Makes what the native tests need of a set, where it is not there yet, and names it in variables of the environment.
 * @param {{ python: string }} tools the project's Python, with torch
 * @returns {Promise<Record<string, string>>}
 */
export async function goldenEnvironment({ python }) {
  const replayed = replayedSet('SAM3_GOLDEN', OWN)
  const multiplex = replayedSet('SAM3_GOLDEN31', OWN_MULTIPLEX)
  const clip = clipFolder(multiplex)
  const tree = path.join('build', 'native-goldens', 'multiplex')
  await exportMultiplex(python, multiplex, tree)
  await decodeClip(clip, path.join(root, tree, 'clip.rgb'))
  const environment = {
    SAM3_GOLDEN31_ROOT: multiplex,
    SAM3_GOLDEN31_CLIP: clip,
    SAM3_GOLDEN31_PROGRAMS: path.join(root, tree),
  }
  const made = new Map()
  for (const [name, set] of Object.entries({ TEST: OWN, GOLDEN: replayed })) {
    const folder = path.join('build', 'native-goldens', made.size === 0 ? 'own' : 'replayed')
    if (!made.has(set)) {
      await exportProgram(python, set, path.join(folder, 'program'))
      await decodeClips(set, path.join(root, folder, 'clips'))
      made.set(set, path.join(root, folder))
    }
    environment[`SAM3_${name}_ROOT`] = set
    environment[`SAM3_${name}_PROGRAM`] = path.join(made.get(set), 'program')
    environment[`SAM3_${name}_CLIPS`] = path.join(made.get(set), 'clips')
  }
  environment.SAM3_TEST_TOKENS = path.join(root, 'build', 'native-goldens', 'tokens.json')
  writeTokens([OWN, replayed], multiplexTexts(multiplex), environment.SAM3_TEST_TOKENS)
  return environment
}
