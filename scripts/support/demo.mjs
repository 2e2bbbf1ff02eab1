// What `npm run demo` does once everything is set up: words and a click on a picture, and words followed through a clip.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import sharp from 'sharp'
import * as library from '../../dist/index.js'
import { root } from './command.mjs'
import { trackDemo } from './demo-video.mjs'
import { table } from './table.mjs'

const example = (name) => path.join(root, 'examples', name)
/** What is asked where nothing else is said: about drawings for the model of the package, about a photograph for others. */
const DRAWINGS = { image: example('scene.jpg'), text: ['dog', 'cup', 'red car', 'penguin'], point: [545, 205] }
const PHOTOGRAPH = { image: example('coffee.jpg'), text: ['cup', 'spoon', 'penguin'], point: [200, 60] }
const CLIP = { video: example('clip'), follow: ['dog', 'soccer ball'] }
const CLICK = 'click'

/** The questions that the command line comes to. */
function questions({ image, text, point, video, follow }, isDemo) {
  const example = isDemo ? DRAWINGS : PHOTOGRAPH
  const own = image !== undefined || text !== undefined || point !== undefined
  const still = own ? { text: [], ...(point && { point: point.split(',').map(Number) }) } : example
  const words = text ?? still.text
  return {
    ...still,
    image: image ?? example.image,
    text: words,
    video: video ?? CLIP.video,
    follow: follow ?? (video ? words : CLIP.follow),
  }
}

function row(asked, { score, box, mask }) {
  return [asked, score.toFixed(2), box.map((value) => value.toFixed(0)).join(', '), `${mask.area} px`]
}

/** Around the largest piece of a mask: a speck far away would draw the label there. */
function boxOf(mask) {
  const boxes = mask.toPolygons().map(({ outline }) => {
    const [xs, ys] = [outline.map(([x]) => x), outline.map(([, y]) => y)]
    return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)]
  })
  const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0)
  return boxes.toSorted((a, b) => area(b) - area(a))[0] ?? mask.box
}

/** Asks for the words and the click in one picture; what was found, and a line of a table for each. */
async function segment(model, { image, text, point }) {
  const encoded = await model.encode(image)
  const results = text.length > 0 ? await encoded.segment({ text }) : []
  const rows = results.flatMap(({ instances }, index) =>
    instances.length > 0 ? instances.map((one) => row(text[index], one)) : [[text[index], '', 'nothing', '']],
  )
  const instances = results.flatMap((result) => result.instances)
  if (point) {
    const { best } = await encoded.predict({ points: [point], labels: [1] })
    const clicked = { ...best, box: boxOf(best.mask), label: CLICK }
    rows.push(row(`${CLICK} on ${point.join(', ')}`, clicked))
    instances.push(clicked)
  }
  encoded.dispose()
  const { width, height } = encoded
  return { width, height, instances, rows, warnings: results.flatMap(({ warnings }) => warnings) }
}

/** Marks where the click went. */
function withClick(picture, { width, height }, [x, y]) {
  const ring = `<circle cx="${x}" cy="${y}" r="7" fill="#fff" stroke="#000" stroke-width="2"/>`
  const mark = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${ring}</svg>`
  return sharp(picture)
    .composite([{ input: Buffer.from(mark) }])
    .png({ compressionLevel: 9 })
    .toBuffer()
}

async function writeResults(asked, found, out) {
  const { overlay, toCocoJson } = library
  await mkdir(out, { recursive: true })
  const masksOfBefore = (await readdir(out)).filter((name) => /^mask-\d+\.png$/.test(name))
  for (const name of masksOfBefore) await rm(path.join(out, name))
  const write = (name, data) => writeFile(path.join(out, name), data)
  const picture = await overlay(asked.image, found.instances, { scale: 1, boxes: false })
  await write('overlay.png', asked.point ? await withClick(picture, found, asked.point) : picture)
  const { width, height, instances } = found
  const fileName = path.basename(asked.image)
  await write('coco.json', `${JSON.stringify(toCocoJson([{ fileName, width, height, instances }]), null, 2)}\n`)
  for (const [index, { mask }] of instances.entries()) await write(`mask-${index + 1}.png`, await mask.toPng())
}

/** The names of a words.json, apart: nouns, and nouns with a colour. */
export function knownNames({ words }) {
  const names = words.map(([name]) => name)
  const first = (name) => name.split(' ')[0]
  // A colour begins several names; orange is also a fruit.
  const isColoured = (name) => name !== first(name) && names.filter((other) => first(other) === first(name)).length > 1
  return { coloured: names.filter(isColoured), plain: names.filter((name) => !isColoured(name)) }
}

/** What the model of the package is, the words that it knows, and how to get Meta's. */
async function about() {
  const { coloured, plain } = knownNames(JSON.parse(await readFile(path.join(root, 'models/demo/words.json'), 'utf8')))
  return `This model is small: the network of SAM 3 in 12 MB, trained by this project on composed drawings. It knows these
words, their plurals and some synonyms, and finds them in drawings, hardly in photographs:

${wrapped(plain)}

and ${coloured.length} with a colour, such as ${coloured.slice(1, 5).join(', ')}. models/demo/words.json has them all.

Meta's model knows most of what has a name. For its weights ask for access to facebook/sam3 on Hugging Face, then:

  HF_TOKEN=... node dist/cli.js pull
  npm run demo -- --model facebook/sam3`
}

function wrapped(words) {
  const lines = ['']
  for (const word of words) {
    if (lines.at(-1).length + word.length > 110) lines.push('')
    lines[lines.length - 1] += `${lines.at(-1) && ', '}${word}`
  }
  return lines.map((line) => `  ${line}`).join(',\n')
}

/**
 * @param {object} _context of the set-up
 * @param {{ image?: string, text?: string[], point?: string, video?: string, follow?: string[], frames?: string, model: string, out: string }} values
 */
export async function main(_context, values) {
  const isDemo = values.model === 'demo'
  const asked = questions(values, isDemo)
  const model = await library.buildSam3VideoModel({ model: values.model })
  try {
    console.log(`Model ${values.model} on ${model.info.device} in ${model.info.dtype}`)
    const begun = performance.now()
    const found = await segment(model, asked)
    const took = Math.round(performance.now() - begun)
    console.log(`${path.relative(root, asked.image)}, ${found.instances.length} objects in ${took} ms:\n`)
    console.log(table([['asked for', 'score', 'box (x0, y0, x1, y1)', 'area'], ...found.rows]))
    for (const warning of found.warnings) console.log(`\n${warning}`)
    await writeResults(asked, found, values.out)
    const out = path.relative(root, values.out)
    console.log(`\nWritten: ${out}/overlay.png, ${out}/coco.json, and a mask PNG per object.\n`)
    // A frame of the true size takes seconds on a CPU: a few are enough to see that it works.
    const frames = Number(values.frames ?? (!isDemo && model.info.device === 'cpu' ? 8 : 60))
    const tracked = await trackDemo(library, model, { ...asked, out: values.out, frames })
    console.log(`\nWritten: ${tracked.map((file) => path.relative(root, file)).join(', ')}.`)
  } finally {
    await model.dispose()
  }
  if (isDemo) console.log(`\n${await about()}`)
}
