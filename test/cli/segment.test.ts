/** `sam3-node segment`: some of it as a user runs it, the built program in a process of its own; the rest within this one. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, describe, expect, it } from 'vitest'
import { parseBox, parseCount, parseNumber, parsePoint } from '../../lib/cli/common/arguments.js'
import { expandFiles } from '../../lib/cli/segment/files.js'
import { dataSetNames, labelPart, maskName, resultNames } from '../../lib/cli/segment/result-names.js'
import { Mask } from '../../lib/index.js'
import { type Outcome, runHere } from '../support/command-line.js'
import { goldenModels, repositoryRoot } from '../support/paths.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-cli-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
mkdirSync(path.join(folder, 'photos/more'), { recursive: true })
for (const name of ['a.png', 'photos/b.png', 'photos/more/b.jpg']) {
  const color = { r: name.length * 9, g: 80, b: 200 }
  await sharp({ create: { width: 90, height: 60, channels: 3, background: color } }).toFile(path.join(folder, name))
}
writeFileSync(path.join(folder, 'broken.png'), 'no image')

/** In a process of its own. */
function run(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [`${repositoryRoot}/dist/cli.js`, ...args], { cwd: folder }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })
}
const sam3 = (...args: string[]) => runHere(args, { cwd: folder })

const model = ['--model', goldenModels.safetensors, '--device', 'cpu', '--dtype', 'float32']

describe('sam3-node', () => {
  it('teaches by --help', async () => {
    const { code, stdout } = await sam3('segment', '--help')
    expect(code).toBe(0)
    for (const word of ['Examples:', '--text', '--box', '--point', '--json', 'exit code is 1'])
      expect(stdout).toContain(word)
    expect((await sam3('--help')).stdout).toContain('segment')
    const { version } = JSON.parse(readFileSync(`${repositoryRoot}/package.json`, 'utf8'))
    expect((await sam3('--version')).stdout.trim()).toBe(version)
  })

  // What cannot be meant ends with 2, what fails with 1.
  it.each<[string, string[], string, (1 | 2)?]>([
    ['no question', ['segment', 'a.png'], 'ERR_EMPTY_PROMPT'],
    ['no command', [], 'Usage: sam3-node'],
    ['no file', ['segment', '--text', 'cat'], "missing required argument 'files'"],
    ['an empty text', ['segment', 'a.png', '--text', ' '], 'noun phrase'],
    ['an option without its value', ['segment', 'a.png', '--text', '--json'], '--json is an option'],
    [
      'a folder for results that is a file',
      ['segment', 'a.png', '--text', 'cat', '--out', 'broken.png'],
      '--out broken.png is a file',
    ],
    ['a box of three numbers', ['segment', 'a.png', '--box', '1,2,3'], 'x0,y0,x1,y1'],
    ['a threshold of 2', ['segment', 'a.png', '--text', 'cat', '--threshold', '2'], 'from 0 to 1'],
    ['clicks with a text', ['segment', 'a.png', '--text', 'cat', '--point', '1,1'], 'ERR_INVALID_ARGUMENT'],
    ['a font that is none', ['segment', 'a.png', '--text', 'cat', '--font', 'broken.png'], 'broken.png is no font', 1],
    ['an unknown option', ['segment', 'a.png', '--txt', 'cat'], '--text'],
    ['an unknown command', ['sgment'], 'segment'],
    ['a glob of nothing', ['segment', '*.bmp', '--text', 'cat'], 'ERR_IMAGE_NOT_FOUND', 1],
    ['a missing model', ['segment', 'a.png', '--text', 'cat', '--model', './none'], 'ERR_MODEL_NOT_FOUND', 1],
  ])('refuses %s', async (_name, args, message, exitCode = 2) => {
    const before = readdirSync(folder)
    const { code, stdout, stderr } = await sam3(...args)
    expect(stderr).toContain(message)
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' })
    expect(stderr).not.toMatch(/ {4}at |report it/)
    expect(readdirSync(folder)).toEqual(before)
  })

  it('ends with these exit codes as a process, too', async () => {
    expect(await run('sgment')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('segment') })
    expect(await run('segment', '*.bmp', '--text', 'cat')).toMatchObject({ code: 1, stdout: '' })
    const { code, stdout } = await run('--help')
    expect({ code, stdout }).toEqual({ code: 0, stdout: (await sam3('--help')).stdout })
  })

  it('writes overlays, masks and COCO JSON for globs and folders, one bad file not stopping the rest', async () => {
    const args = [
      '*.png',
      'photos',
      'missing.png',
      '--text',
      'cat',
      '--text',
      'yellow school bus',
      '--threshold',
      '0',
      '--max-instances',
      '2',
    ]
    const { code, stdout, stderr } = await run('segment', ...args, ...model, '--out', 'found')
    expect(code).toBe(1)
    expect(stdout).toContain('3 of 5 files')
    expect(stderr).toContain('2 of 5 files failed')
    expect(stderr).toMatch(/broken\.png: ERR_INVALID_IMAGE/)
    expect(stderr).toMatch(/missing\.png: ERR_IMAGE_NOT_FOUND/)
    expect(stderr).toMatch(/^\[[1-5]\/5\] a\.png: 2 x cat, 2 x yellow school bus$/m)

    const files = readdirSync(path.join(folder, 'found'))
    expect(files.filter((name) => name.endsWith('.overlay.png')).sort()).toEqual([
      'a.overlay.png',
      'b-2.overlay.png',
      'b.overlay.png',
    ])
    expect(files.filter((name) => name.includes('.mask.'))).toHaveLength(12)
    const coco = JSON.parse(readFileSync(path.join(folder, 'found/coco.json'), 'utf8'))
    expect(coco.images.map((image: { file_name: string }) => image.file_name)).toEqual([
      'a.png',
      'photos/b.png',
      'photos/more/b.jpg',
    ])
    expect(coco.categories.map((category: { name: string }) => category.name)).toEqual(['cat', 'yellow school bus'])
    expect(coco.annotations).toHaveLength(12)

    const mask = Mask.fromRle(coco.annotations[0].segmentation)
    const png = await sharp(path.join(folder, 'found/a.mask.1.cat.png')).toColourspace('b-w').raw().toBuffer()
    expect([...png].map((value) => value / 255)).toEqual([...mask.toBitmap()])
    expect(await sharp(path.join(folder, 'found/a.overlay.png')).metadata()).toMatchObject({ width: 540, height: 360 })
  })

  it('lists the same categories whatever is found, and names files as paths within one folder', async () => {
    const files = ['./a.png', path.join(folder, 'photos/b.png')]
    const args = ['--text', 'dog', '--text', 'cat', '--text', 'dog', '--threshold', '1', '--out', 'nothing-found']
    const { code } = await sam3('segment', ...files, ...args, ...model)
    expect(code).toBe(0)
    const coco = JSON.parse(readFileSync(path.join(folder, 'nothing-found/coco.json'), 'utf8'))
    expect(coco).toMatchObject({
      images: [{ file_name: 'a.png' }, { file_name: 'photos/b.png' }],
      categories: [
        { id: 1, name: 'dog' },
        { id: 2, name: 'cat' },
      ],
      annotations: [],
    })
    const elsewhere = path.resolve('/data')
    expect(dataSetNames([`${elsewhere}/day 1/a.jpg`, `${elsewhere}/day 2/ä.jpg`])).toEqual([
      'day 1/a.jpg',
      'day 2/ä.jpg',
    ])
    expect(dataSetNames(['../one/a.jpg', '../two/a.jpg'])).toEqual(['one/a.jpg', 'two/a.jpg'])
    expect(dataSetNames([])).toEqual([])
  })

  it('--json prints only JSON, errors included, and writes nothing', async () => {
    const before = readdirSync(folder)
    const { code, stdout, stderr } = await run(
      'segment',
      'a.png',
      'broken.png',
      '--text',
      'cat',
      '--threshold',
      '0',
      ...model,
      '--json',
    )
    expect(code).toBe(1)
    expect(stderr).toContain('broken.png')
    const { images, errors } = JSON.parse(stdout)
    expect(images).toHaveLength(1)
    expect(images[0]).toMatchObject({ file: 'a.png', width: 90, height: 60, warnings: [] })
    expect(images[0].instances[0]).toMatchObject({ label: 'cat', score: expect.any(Number), rle: { size: [60, 90] } })
    expect(Mask.fromRle(images[0].instances[0].rle).area).toBe(images[0].instances[0].area)
    expect(errors).toEqual([{ file: 'broken.png', code: 'ERR_INVALID_IMAGE', message: expect.any(String) }])
    expect(readdirSync(folder)).toEqual(before)
  })

  it('prints a table for a single file', async () => {
    const args = ['a.png', '--text', 'cat', '--threshold', '0', '--max-instances', '2', '--out', 'single']
    const { code, stdout } = await sam3('segment', ...args, ...model)
    expect(code).toBe(0)
    expect(stdout).toMatch(/concept +score +box \(x0, y0, x1, y1\) +area\n +1 +cat +0\.\d{3} .* \d+ px\n +2 +cat /)
  })

  it('takes folders with a dot that are there or are named as such, and texts of any kind', async () => {
    mkdirSync(path.join(folder, 'run.jpg'))
    const args = ['--threshold', '0', '--max-instances', '1', ...model]
    const texts = ['--text', '😀', '--text', '../up', '--text', 'rote Äpfel & कप', '--text', '-5']
    expect((await sam3('segment', 'a.png', ...texts, ...args, '--out', 'run.jpg')).code).toBe(0)
    expect(readdirSync(path.join(folder, 'run.jpg')).sort()).toEqual([
      'a.mask.1.png',
      'a.mask.2.up.png',
      'a.mask.3.rote-äpfel-कप.png',
      'a.mask.4.5.png',
      'a.overlay.png',
      'coco.json',
    ])
    expect((await sam3('segment', '--text', 'cat', ...args, '--out', 'new.png/', '--', 'a.png')).code).toBe(0)
    expect(readdirSync(path.join(folder, 'new.png'))).toContain('a.overlay.png')
  })

  it('a reader that has seen enough (| head) is no error', async () => {
    const command = 'set -o pipefail; "$0" "$1" cache ls --cache-dir . | true; echo "$?"'
    const args = ['-c', command, process.execPath, `${repositoryRoot}/dist/cli.js`]
    const { stdout, stderr } = await new Promise<{ stdout: string; stderr: string }>((resolve) =>
      execFile('bash', args, { cwd: folder }, (_error, stdout, stderr) => resolve({ stdout, stderr })),
    )
    expect({ stdout, stderr }).toEqual({ stdout: '0\n', stderr: '' })
  })

  it('segments by boxes and by clicks', async () => {
    const boxes = await sam3(
      'segment',
      'a.png',
      '--box',
      '-5,-5,40,40',
      '--neg-box',
      '50,5,80,40',
      '--threshold',
      '0',
      ...model,
      '--json',
    )
    expect(JSON.parse(boxes.stdout).images[0].instances.length).toBeGreaterThan(0)
    expect(JSON.parse(boxes.stdout).images[0].instances[0]).not.toHaveProperty('label')
    const click = await sam3(
      'segment',
      'a.png',
      '--point',
      '0.5,0.5',
      '--neg-point',
      '0.9,0.9',
      '--normalized',
      ...model,
      '--json',
    )
    expect(click).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(click.stdout).images[0].instances).toEqual([expect.objectContaining({ label: 'click' })])
    expect(existsSync(path.join(folder, 'result'))).toBe(false)
  })
})

describe('arguments', () => {
  it('reads boxes, points and numbers', () => {
    expect(parseBox('1, 2,3.5,4', [[0, 0, 1, 1]])).toEqual([
      [0, 0, 1, 1],
      [1, 2, 3.5, 4],
    ])
    expect(parsePoint('7,8')).toEqual([[7, 8]])
    expect(parseNumber(0, 1)('0.25')).toBe(0.25)
    expect(parseCount('3')).toBe(3)
    for (const bad of ['1,2,3', 'a,b,c,d', '1,,2,3', '1,2,3,Infinity', '']) expect(() => parseBox(bad)).toThrow('x0,y0')
    for (const bad of ['0', '-1', '1.5', 'two']) expect(() => parseCount(bad)).toThrow()
  })

  it('lists every file once, in the order in which it was named', async () => {
    const all = await expandFiles([`${folder}/photos`, `${folder}/*.png`, `${folder}/a.png`, 'none.jpg'])
    const relative = all.map((file) => path.relative(folder, file).replace(/^.*none/, 'none'))
    expect(relative).toEqual(['photos/b.png', 'photos/more/b.jpg', 'a.png', 'broken.png', 'none.jpg'])
    // Photographs of a phone are named, and reported, rather than left out.
    mkdirSync(path.join(folder, 'phone'))
    for (const name of ['IMG_1.HEIC', 'IMG_2.Jpg', 'notes.txt']) writeFileSync(path.join(folder, 'phone', name), 'x')
    const phone = await expandFiles([`${folder}/phone`])
    expect(phone.map((file) => path.basename(file))).toEqual(['IMG_1.HEIC', 'IMG_2.Jpg'])
  })
})

describe('names of results', () => {
  it('are those of the images, each once', () => {
    expect(resultNames(['x/b.png', 'y/b.jpg', 'c.d.png'])).toEqual(['b', 'b-2', 'c.d'])
    expect(resultNames(['b.png', 'b.jpg', 'b-2.png', 'B.tif'])).toEqual(['b', 'b-2', 'b-2-2', 'B-3'])
    expect(resultNames(['photo..png', '..png', '.hidden.png', '-x.png'])).toEqual(['photo', 'image', '.hidden', '-x'])
    const long = resultNames([`${'é'.repeat(120)}.png`, `${'é'.repeat(121)}.png`])
    expect(long).toEqual(['é'.repeat(60), `${'é'.repeat(60)}-2`])
  })

  it('have readable labels of any script, and no empty parts', () => {
    expect(maskName('a', '07', 'Red cup!')).toBe('a.mask.07.red-cup.png')
    for (const label of [undefined, '', '😀', '...', '../..', '/', '—'])
      expect(maskName('a', '1', label)).toBe('a.mask.1.png')
    expect([labelPart('../x'), labelPart('a/b\\c'), labelPart('-rf'), labelPart('Tasse (groß)')]).toEqual([
      'x',
      'a-b-c',
      'rf',
      'tasse-groß',
    ])
    expect([labelPart('चाय का कप'), labelPart('قِطّة'), labelPart('黄色い バス')]).toEqual([
      'चाय-का-कप',
      'قِطّة'.normalize('NFC'),
      '黄色い-バス',
    ])
    for (const text of ['कि'.repeat(300), '𠮷'.repeat(300), 'e\u0301\u0323'.repeat(300), `${'x'.repeat(79)} y`]) {
      const name = maskName('é'.repeat(60), '001', text)
      expect(Buffer.byteLength(name)).toBeLessThan(250)
      expect(name).not.toMatch(/\uFFFD|-\.|\.\./)
      expect(text.normalize('NFC').startsWith(labelPart(text))).toBe(true)
    }
  })
})
