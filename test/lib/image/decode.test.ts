import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { runInNewContext } from 'node:vm'
import sharp from 'sharp'
import { afterAll, describe, expect, it } from 'vitest'
import { decodeImage } from '../../../lib/image/decode.js'
import type { ImageInput, RawImage } from '../../../lib/image/source.js'
import { largestDifference } from '../../support/compare.js'
import { rejection } from '../../support/model.js'
import { goldenRoot } from '../../support/paths.js'
import { seededRandom } from '../../support/random.js'
import { type TiffImage, tiff } from '../../support/tiff.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-decode-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

// A picture of 4 x 2 pixels in which every pixel is different.
const pixels = Uint8Array.from({ length: 24 }, (_, index) => index * 10)
const picture = sharp(pixels, { raw: { width: 4, height: 2, channels: 3 } })
const png = await picture.png().toBuffer()
const file = path.join(folder, 'a picture.png')
writeFileSync(file, png)
const webp = await picture.clone().webp({ lossless: true }).toBuffer()
const lzwTiff = await picture.clone().tiff({ compression: 'lzw' }).toBuffer()
const avif = await picture.clone().avif({ lossless: true, chromaSubsampling: '4:4:4' }).toBuffer()

describe('decodeImage', () => {
  it.each<[string, ImageInput]>([
    ['a path', file],
    ['a file: URL', pathToFileURL(file)],
    ['a file: URL as text', pathToFileURL(file).href],
    ['a Buffer', png],
    ['a Uint8Array', new Uint8Array(png)],
    ['an ArrayBuffer', new Uint8Array(png).buffer],
    ['raw pixels', { data: pixels, width: 4, height: 2, channels: 3 }],
    ['a sharp instance', sharp(png)],
    ['a WebP without loss', webp],
    ['a TIFF', lzwTiff],
  ])('reads %s', async (_name, image) => {
    const { data, width, height } = await decodeImage(image)
    expect({ width, height }).toEqual({ width: 4, height: 2 })
    expect([...data]).toEqual([...pixels])
  })

  it('reads an AVIF', async () => {
    const { data, width, height } = await decodeImage(avif)
    expect({ width, height }).toEqual({ width: 4, height: 2 })
    expect(largestDifference(data, pixels)).toBeLessThanOrEqual(3) // its lossless mode rounds in YCbCr
  })

  it('copies grey to three channels, drops alpha without blending, scales 16 bits', async () => {
    const data = async (image: ImageInput) => [...(await decodeImage(image)).data]
    const raw = (values: RawImage['data'], channels: 1 | 2 | 3 | 4): RawImage => ({
      data: values,
      width: 2,
      height: 1,
      channels,
    })
    expect(await data(raw(new Uint8Array([7, 200]), 1))).toEqual([7, 7, 7, 200, 200, 200])
    expect(await data(raw(new Uint8Array([7, 0, 200, 255]), 2))).toEqual([7, 7, 7, 200, 200, 200])
    expect(await data(raw(new Uint8Array([1, 2, 3, 0, 4, 5, 6, 128]), 4))).toEqual([1, 2, 3, 4, 5, 6])
    expect(await data(raw(new Uint16Array([0, 65535, 257, 514, 0, 0]), 3))).toEqual([0, 255, 1, 2, 0, 0])
    expect(await data(raw(new Uint8ClampedArray([9, 8, 7, 6, 5, 4]), 3))).toEqual([9, 8, 7, 6, 5, 4])

    const transparent = sharp(new Uint8Array([1, 2, 3, 0, 4, 5, 6, 128]), { raw: { width: 2, height: 1, channels: 4 } })
    expect(await data(await transparent.png().toBuffer())).toEqual([1, 2, 3, 4, 5, 6])
    const deep = sharp(new Uint16Array([0, 65535, 0x1280, 0x12ff, 0x8000, 0x7fff]), {
      raw: { width: 2, height: 1, channels: 3 },
    })
    const deepPng = await deep.toColourspace('rgb16').png().toBuffer()
    expect((await sharp(deepPng).metadata()).depth).toBe('ushort')
    expect(await data(deepPng)).toEqual([0, 255, 0x12, 0x12, 0x80, 0x7f])
    const greyDeep = await sharp(new Uint16Array([0x1234, 0xff00]), { raw: { width: 2, height: 1, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer()
    expect(await data(greyDeep)).toEqual([0x12, 0x12, 0x12, 0xff, 0xff, 0xff])
  })

  it('turns the picture as its EXIF orientation says', async () => {
    const turned = await picture.clone().withMetadata({ orientation: 6 }).png().toBuffer()
    const upright = await picture.clone().rotate(90).raw().toBuffer({ resolveWithObject: true })
    for (const image of [turned, sharp(turned)]) {
      const { data, width, height } = await decodeImage(image)
      expect({ width, height }).toEqual({ width: 2, height: 4 })
      expect([...data]).toEqual([...upright.data])
    }
  })

  it('ignores an embedded RGB profile, as the reference does, and converts CMYK', async () => {
    const wide = await picture.clone().withIccProfile('p3', { attach: true }).png().toBuffer()
    const stored = await sharp(wide, { ignoreIcc: true }).raw().toBuffer()
    expect([...(await decodeImage(wide)).data]).toEqual([...stored])
    const red = sharp({ create: { width: 8, height: 8, channels: 3, background: '#e01020' } })
    const { data } = await decodeImage(await red.toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer())
    expect(data).toHaveLength(8 * 8 * 3)
    expect(data[0]! > 180 && data[1]! < 90 && data[2]! < 90).toBe(true)
  })

  it('gives the same pixels whichever way an image with a profile comes in', async () => {
    const random = seededRandom(11)
    const noise = Uint8Array.from({ length: 32 * 24 * 3 }, () => random() * 256)
    const source = sharp(noise, { raw: { width: 32, height: 24, channels: 3 } })
    const deep = source.clone().toColourspace('rgb16').withIccProfile('p3').png()
    const cases: [string, Buffer][] = [
      ['Display P3', await source.clone().withIccProfile('p3').png().toBuffer()],
      ['Display P3, 16 bits', await deep.toBuffer()],
      [
        'Display P3, turned',
        await source.clone().withIccProfile('p3').withMetadata({ orientation: 6 }).png().toBuffer(),
      ],
      ['Display P3 in a TIFF', await source.clone().withIccProfile('p3').tiff({ compression: 'lzw' }).toBuffer()],
      ['Display P3 in a JPEG', await source.clone().withIccProfile('p3').jpeg().toBuffer()],
      ['grey with a profile', await source.clone().greyscale().toColourspace('b-w').png().toBuffer()],
      ['palette and alpha', await source.clone().ensureAlpha(0.5).png({ palette: true }).toBuffer()],
      ['CMYK', await source.clone().toColourspace('cmyk').withIccProfile('cmyk').jpeg().toBuffer()],
      ['no profile', await source.clone().png().toBuffer()],
    ]
    for (const [name, bytes] of cases) {
      const wide = path.join(folder, 'wide')
      writeFileSync(wide, bytes)
      const piped = sharp()
      const stream = decodeImage(piped)
      piped.end(bytes)
      const expected = await decodeImage(bytes)
      for (const image of [wide, pathToFileURL(wide), sharp(wide), sharp(bytes)]) {
        expect([name, largestDifference((await decodeImage(image)).data, expected.data)]).toEqual([name, 0])
      }
      expect([name, largestDifference((await stream).data, expected.data)]).toEqual([name, 0])
    }
    // Whoever wants the colours converted says so to sharp.
    const [, bytes] = cases[0]!
    const stored = await sharp(bytes, { ignoreIcc: true }).raw().toBuffer()
    expect([...(await decodeImage(sharp(bytes))).data]).toEqual([...stored])
    const converted = await decodeImage(sharp(bytes).withIccProfile('srgb'))
    expect(largestDifference(converted.data, stored)).toBeGreaterThan(20)
  })

  it('does what a sharp instance was told to do, and takes the first frame of one that was opened whole', async () => {
    const resized = await decodeImage(picture.clone().resize(2, 1, { kernel: 'nearest' }))
    expect({ width: resized.width, height: resized.height }).toEqual({ width: 2, height: 1 })
    const turned = await decodeImage(sharp(png).rotate(90))
    expect({ width: turned.width, height: turned.height }).toEqual({ width: 2, height: 4 })
    const frames = [sharp(png), sharp(png).negate()].map((frame) => frame.png().toBuffer())
    const animation = await sharp(await Promise.all(frames), { join: { animated: true } })
      .webp({ lossless: true })
      .toBuffer()
    expect((await sharp(animation).metadata()).pages).toBe(2)
    for (const image of [animation, sharp(animation), sharp(animation, { animated: true })]) {
      const { data, width, height } = await decodeImage(image)
      expect({ width, height, data: [...data] }).toEqual({ width: 4, height: 2, data: [...pixels] })
    }
  })

  it('reads a TIFF of RGB and further bands, and one of grey and alpha, as Pillow does', async () => {
    const values = (count: number) => Array.from({ length: 2 * count }, (_, index) => index * 10)
    const size = { width: 2, height: 1, sample: 'uint8' } as const
    const data = async (image: Buffer) => [...(await decodeImage(image)).data]
    for (const bands of [3, 4, 5, 6, 8]) {
      const [first, second] = [0, bands * 10]
      const rgb = [first, first + 10, first + 20, second, second + 10, second + 20]
      expect(await data(tiff({ ...size, data: values(bands) }))).toEqual(rgb)
    }
    expect(await data(tiff({ ...size, data: values(2), tags: { 338: 2 } }))).toEqual([0, 0, 0, 20, 20, 20])
    expect(await data(tiff({ ...size, data: values(1), tags: { 262: 0 } }))).toEqual([255, 255, 255, 245, 245, 245])
    const deep = tiff({ ...size, sample: 'uint16', data: [0, 0x1280, 0xffff, 0x8000, 0x7fff, 0x0100] })
    expect(await data(deep)).toEqual([0, 0x12, 0xff, 0x80, 0x7f, 0x01])
  })

  it('takes bytes and pixels of another realm, such as those of a test runner', async () => {
    const foreign = runInNewContext('Uint8Array.from(values)', { values: [...png] })
    expect(foreign instanceof Uint8Array).toBe(false)
    expect([...(await decodeImage(foreign)).data]).toEqual([...pixels])
    const data = runInNewContext('Uint8Array.from(values)', { values: [...pixels] })
    expect([...(await decodeImage({ data, width: 4, height: 2, channels: 3 })).data]).toEqual([...pixels])
  })

  it('passes raw RGB on without a copy, and copies memory that other threads can write to', async () => {
    const own = await decodeImage({ data: pixels, width: 4, height: 2, channels: 3 })
    expect(own.data.buffer).toBe(pixels.buffer)
    const shared = new Uint8Array(new SharedArrayBuffer(24))
    shared.set(pixels)
    const copied = await decodeImage({ data: shared, width: 4, height: 2, channels: 3 })
    expect(copied.data.buffer).not.toBe(shared.buffer)
    expect([...copied.data]).toEqual([...pixels])
  })
})

describe('decodeImage refuses', () => {
  const raw = (change: object) => ({ data: pixels, width: 4, height: 2, channels: 3, ...change }) as RawImage
  it.each<[string, unknown, string]>([
    ['a missing file', path.join(folder, 'none.png'), 'ERR_IMAGE_NOT_FOUND'],
    ['a folder', folder, 'ERR_IMAGE_NOT_FOUND'],
    ['no bytes', new Uint8Array(), 'ERR_INVALID_IMAGE'],
    ['bytes that are no image', Buffer.from('this is no image'), 'ERR_INVALID_IMAGE'],
    ['a PNG cut in half', png.subarray(0, png.length / 2), 'ERR_INVALID_IMAGE'],
    ['only the first bytes of a PNG', png.subarray(0, 20), 'ERR_INVALID_IMAGE'],
    ['a sharp instance of no image', sharp(Buffer.from('this is no image')), 'ERR_INVALID_IMAGE'],
    ['too short a raw buffer', raw({ data: pixels.subarray(1) }), 'ERR_INVALID_IMAGE'],
    ['too long a raw buffer', raw({ width: 3 }), 'ERR_INVALID_IMAGE'],
    ['a width of zero', raw({ width: 0, data: new Uint8Array() }), 'ERR_INVALID_IMAGE'],
    ['a negative height', raw({ height: -2 }), 'ERR_INVALID_IMAGE'],
    ['a fractional width', raw({ width: 3.5 }), 'ERR_INVALID_IMAGE'],
    ['a width that is not a number', raw({ width: Number.NaN }), 'ERR_INVALID_IMAGE'],
    ['five channels', raw({ channels: 5 }), 'ERR_INVALID_IMAGE'],
    ['no channel count', raw({ channels: undefined }), 'ERR_INVALID_IMAGE'],
    ['raw data of floats', raw({ data: new Float32Array(24) }), 'ERR_INVALID_IMAGE'],
    ['raw data of a plain list', raw({ data: [...pixels] }), 'ERR_INVALID_IMAGE'],
    ['an address on the web', 'https://example.com/a.png', 'ERR_INVALID_ARGUMENT'],
    ['an URL on the web', new URL('https://example.com/a.png'), 'ERR_INVALID_ARGUMENT'],
    ['a data: address', 'data:image/png;base64,AAAA', 'ERR_INVALID_ARGUMENT'],
    ['nothing', undefined, 'ERR_INVALID_ARGUMENT'],
    ['null', null, 'ERR_INVALID_ARGUMENT'],
    ['a number', 7, 'ERR_INVALID_ARGUMENT'],
    ['some object', { path: file }, 'ERR_INVALID_ARGUMENT'],
  ])('%s', async (_name, image, code) => {
    expect(await rejection(decodeImage(image as ImageInput))).toMatchObject({
      name: 'Sam3InputError',
      code,
      fix: expect.stringMatching(/\S/),
    })
  })

  it.each<[string, TiffImage, RegExp]>([
    ...(['float32', 'float64', 'complex64', 'int8', 'int16', 'int32', 'uint32'] as const).flatMap((sample) =>
      [1, 3].map((bands): [string, TiffImage, RegExp] => [
        `a TIFF of ${sample}, ${bands} bands`,
        { width: 2, height: 1, sample, data: [0, 1, 0.5, 1, 0, 1].slice(0, 2 * bands) },
        { float: /floating-point numbers/, compl: /complex numbers/, int: /signed whole/, uint: /32-bit unsigned/ }[
          /float|compl|uint|int/.exec(sample)![0]
        ]!,
      ]),
    ),
    ...[2, 3, 4, 5, 13].flatMap((bands) =>
      (['uint8', 'uint16'] as const).map((sample): [string, TiffImage, RegExp] => [
        `a TIFF of ${bands} bands of ${sample} that are no colours`,
        {
          width: 1,
          height: 2,
          sample,
          data: Array.from({ length: bands * 2 }, (_, index) => index),
          tags: { 262: 1, 338: Array<number>(bands - 1).fill(0) },
        },
        new RegExp(`has ${bands} bands \\(channels\\)`),
      ]),
    ),
  ])('%s, from bytes and from a sharp instance', async (_name, image, what) => {
    const bytes = tiff(image)
    for (const input of [bytes, sharp(bytes), sharp(bytes, { limitInputChannels: 0 })]) {
      const error = await rejection(decodeImage(input))
      expect(error).toMatchObject({ code: 'ERR_INVALID_IMAGE', fix: expect.stringContaining('0..255') })
      expect(error.message).toMatch(what)
    }
  })

  it('a sharp instance of floats', async () => {
    const floats = sharp(new Float32Array(6).fill(0.5), { raw: { width: 2, height: 1, channels: 3 } })
    expect(await rejection(decodeImage(floats))).toMatchObject({
      code: 'ERR_INVALID_IMAGE',
      message: expect.stringContaining('float'),
    })
  })

  it('more pixels than sharp opens, with the size', async () => {
    const huge = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="20000" height="20000"/>')
    const error = await rejection(decodeImage(huge))
    expect(error.message).toContain('20000 x 20000')
    expect(error).toMatchObject({ fix: expect.stringContaining('limitInputPixels') })
  })

  it('an empty file', async () => {
    const empty = path.join(folder, 'empty.jpg')
    writeFileSync(empty, '')
    expect(await rejection(decodeImage(empty))).toMatchObject({
      code: 'ERR_INVALID_IMAGE',
      message: expect.stringContaining('empty'),
    })
  })

  it('a JPEG cut off anywhere', async () => {
    const jpeg = readFileSync(`${goldenRoot}/images/photo_480x361.jpg`)
    for (const share of [0.01, 0.1, 0.5, 0.9, 0.99]) {
      expect(await rejection(decodeImage(jpeg.subarray(0, jpeg.length * share)))).toMatchObject({
        code: 'ERR_INVALID_IMAGE',
      })
    }
  })
})
