/** The command line as a user runs it: the built program, in a process of its own. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, describe, expect, it } from 'vitest'
import { parseBox, parseCount, parseNumber, parsePoint } from '../lib/cli/arguments.js'
import { expandFiles, resultNames } from '../lib/cli/files.js'
import { Mask } from '../lib/index.js'
import { goldenModels, repositoryRoot } from './support/paths.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-cli-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
mkdirSync(path.join(folder, 'photos/more'), { recursive: true })
for (const name of ['a.png', 'photos/b.png', 'photos/more/b.jpg']) {
  const color = { r: name.length * 9, g: 80, b: 200 }
  await sharp({ create: { width: 90, height: 60, channels: 3, background: color } }).toFile(path.join(folder, name))
}
writeFileSync(path.join(folder, 'broken.png'), 'no image')

interface Outcome {
  code: number
  stdout: string
  stderr: string
}

function sam3(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [`${repositoryRoot}/dist/cli.js`, ...args], { cwd: folder }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })
}

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

  it.each<[string, string[], string]>([
    ['no question', ['segment', 'a.png'], 'ERR_EMPTY_PROMPT'],
    ['a box of three numbers', ['segment', 'a.png', '--box', '1,2,3'], 'x0,y0,x1,y1'],
    ['a threshold of 2', ['segment', 'a.png', '--text', 'cat', '--threshold', '2'], 'from 0 to 1'],
    ['clicks with a text', ['segment', 'a.png', '--text', 'cat', '--point', '1,1'], 'ERR_INVALID_ARGUMENT'],
    ['an unknown option', ['segment', 'a.png', '--txt', 'cat'], '--text'],
    ['an unknown command', ['sgment'], 'segment'],
    ['a glob of nothing', ['segment', '*.bmp', '--text', 'cat'], 'ERR_IMAGE_NOT_FOUND'],
    ['a missing model', ['segment', 'a.png', '--text', 'cat', '--model', './none'], 'ERR_MODEL_NOT_FOUND'],
  ])('refuses %s', async (_name, args, message) => {
    const { code, stdout, stderr } = await sam3(...args)
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toContain(message)
    expect(stderr).not.toContain('    at ')
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
    const { code, stdout, stderr } = await sam3('segment', ...args, ...model, '--out', 'found')
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

  it('--json prints only JSON, errors included, and writes nothing', async () => {
    const before = readdirSync(folder)
    const { code, stdout, stderr } = await sam3(
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

  it('segments by boxes and by clicks', async () => {
    const boxes = await sam3(
      'segment',
      'a.png',
      '--box',
      '5,5,40,40',
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
    expect(resultNames(['x/b.png', 'y/b.jpg', 'c.d.png'])).toEqual(['b', 'b-2', 'c.d'])
  })
})
