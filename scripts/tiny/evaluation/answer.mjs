// Answers questions through the library, as a service would ask them. Called by asking.py.
// Usage: node answer.mjs <questions.json> <answers.json>
//
// questions: { model, dtype, images: [{ file, prompts, clicks }], clips: [{ folder, texts, clicks }], timed: [file, runs] }
// A click may have `first`, the prompt whose mask it corrects. Masks come back as COCO's run-length encoding.

import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { buildSam3VideoModel } from '../../../dist/index.js'

const [questionsFile, answersFile] = process.argv.slice(2)
const { model: name, dtype, images, clips, timed } = JSON.parse(readFileSync(questionsFile, 'utf8'))
const model = await buildSam3VideoModel({ model: name, device: 'cpu', dtype, threads: availableParallelism() })

const found = ({ score, box, mask }) => ({ score, box, mask: mask.toRle() })

async function answerClick(image, { first, ...prompt }) {
  if (!first) return found((await image.predict(prompt)).best)
  const { best } = await image.predict(first)
  return found((await image.predict({ ...prompt, maskInput: best.mask.logits, multimask: false })).best)
}

async function answerImage({ file, prompts, clicks }) {
  const image = await model.encode(file)
  const results = prompts.length > 0 ? await image.segment(prompts) : []
  const clicked = []
  for (const click of clicks) clicked.push(await answerClick(image, click))
  image.dispose()
  return { prompts: results.map(({ instances }) => instances.map(found)), clicks: clicked }
}

/** The objects of each frame of a clip: those of the texts, or those that were clicked on the first frame. */
async function answerClip({ folder, texts, clicks }) {
  const session = await model.startSession(folder)
  const frames = []
  try {
    for (const text of texts) await session.addPrompt({ frameIndex: 0, text })
    for (const [objectId, points] of clicks.entries()) await session.addPoints({ frameIndex: 0, objectId, ...points })
    for await (const { frameIndex, objects } of session.propagate())
      frames[frameIndex] = objects.map(({ id, promptIndex, mask }) => ({ id, promptIndex, mask: mask.toRle() }))
  } finally {
    await session.close()
  }
  return frames
}

/** Milliseconds of one image and one text, the median of many. */
async function time([file, runs]) {
  const times = []
  for (let run = 0; run < runs; run++) {
    const begun = performance.now()
    await model.segment(file, 'dog')
    times.push(performance.now() - begun)
  }
  return times.sort((a, b) => a - b)[runs >> 1]
}

const answers = { images: [], clips: [] }
for (const image of images) answers.images.push(await answerImage(image))
for (const clip of clips) answers.clips.push(await answerClip(clip))
if (timed) answers.ms = await time(timed)
await model.dispose()
writeFileSync(answersFile, JSON.stringify(answers))
