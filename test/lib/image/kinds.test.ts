/** What a file is that cannot be decoded, and that a message is about its own file alone. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import sharp from 'sharp'
import { afterAll, describe, expect, it } from 'vitest'
import { decodeImage } from '../../../lib/image/decode.js'
import { identify } from '../../../lib/image/identify.js'
import type { ImageInput } from '../../../lib/image/source.js'
import { openSource } from '../../../lib/index.js'
import { rejection } from '../../support/model.js'
import { seededRandom } from '../../support/random.js'
import { tiff } from '../../support/tiff.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-kinds-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const seed = seededRandom(7)
const noise = Uint8Array.from({ length: 64 * 48 * 3 }, () => seed() * 256)
const photo = sharp(noise, { raw: { width: 64, height: 48, channels: 3 } })
const [png, jpeg, webp, avif] = await Promise.all([
  photo.clone().png().toBuffer(),
  photo.clone().jpeg().toBuffer(),
  photo.clone().webp().toBuffer(),
  photo.clone().avif().toBuffer(),
])
/** The boxes of a real file under the brands of another kind, without its pixels. */
const branded = (...brands: string[]) => {
  const file = Buffer.from(avif.subarray(0, avif.length / 2))
  const end = file.readUInt32BE(0)
  file.write(brands[0]!, 8, 'latin1')
  for (let at = 16, next = 1; at < end; at += 4, next++) file.write(brands[next] ?? brands[0]!, at, 'latin1')
  return file
}
const bytes = (start: string, offset = 0) => Buffer.concat([Buffer.alloc(offset), Buffer.from(start, 'latin1'), noise])
const pixel = { width: 1, height: 1, sample: 'uint8', data: [1, 2, 3] } as const

describe('a file that is no image sharp reads is named as what it is, with the way out', () => {
  it.each<[string, Buffer, RegExp, RegExp]>([
    ['HEIC', branded('heic', 'mif1', 'heic'), /HEIC.*HEVC/, /heif-convert/],
    ['HEIC by its second brand', branded('mif1', 'heix'), /HEIC.*HEVC/, /heif-convert/],
    ['HEIF of another codec', branded('mif1', 'miaf'), /HEIF/, /JPEG or PNG/],
    ['CR3', branded('crx ', 'isom'), /raw file of Canon \(CR3\)/, /Develop/],
    ['MP4', branded('isom', 'mp41'), /video/, /startSession/],
    ['QuickTime', branded('qt  '), /video/, /ffmpeg/],
    ['WebM', bytes('\x1aE\xdf\xa3'), /video/, /ffmpeg/],
    ['AVI', bytes('RIFF\0\0\0\0AVI LIST'), /video/, /ffmpeg/],
    ['JPEG 2000', bytes('\0\0\0\x0cjP  \r\n\x87\n'), /JPEG 2000/, /PNG/],
    ['JPEG XL', bytes('\xff\x0a'), /JPEG XL/, /PNG/],
    ['JPEG XL in boxes', bytes('\0\0\0\x0cJXL \r\n\x87\n'), /JPEG XL/, /PNG/],
    ['BMP', bytes('BM'), /BMP/, /PNG/],
    ['ICO', bytes('\0\0\x01\0\x01\0'), /ICO/, /PNG/],
    ['PSD', bytes('8BPS'), /PSD/, /PNG/],
    ['TGA', bytes('\0\0\x02\0'), /TGA/, /PNG/],
    ['TGA by its end', Buffer.concat([noise, Buffer.from('TRUEVISION-XFILE.\0')]), /TGA/, /PNG/],
    ['PPM', bytes('P6\n64 48\n255\n'), /PNM/, /PNG/],
    ['an iOS PNG', bytes('\x89PNG\r\n\x1a\n\0\0\0\x04CgBI'), /Apple/, /pngcrush/],
    ['PDF', bytes('%PDF-1.7\n'), /PDF/, /pdftoppm/],
    ['OpenEXR', bytes('v/1\x01'), /OpenEXR/, /scale the values to 0\.\.255/],
    ['Radiance', bytes('#?RADIANCE\n'), /HDR/, /scale/],
    ['DICOM', bytes('DICM', 128), /DICOM/, /width, height, channels/],
    ['NIfTI', bytes('n+1\0', 344), /NIfTI/, /scale/],
    ['FITS', bytes('SIMPLE  =                    T'), /FITS/, /scale/],
    ['NumPy', bytes('\x93NUMPY\x01\0'), /NumPy/, /scale/],
    ['HDF5', bytes('\x89HDF\r\n\x1a\n'), /HDF5/, /scale/],
    ['CR2', bytes('II*\0\x10\0\0\0CR\x02\0'), /raw file of Canon/, /Develop/],
    ['DNG', tiff({ ...pixel, tags: { 50706: [1, 4, 0, 0] } }), /camera raw/, /Develop/],
    ['NEF', tiff({ ...pixel, tags: { 254: 1, 271: 78, 330: 8 } }), /camera raw/, /Develop/],
    ['Fujifilm', bytes('FUJIFILMCCD-RAW 0201'), /Fujifilm/, /Develop/],
    ['gzip', bytes('\x1f\x8b\x08'), /gzip/, /Unpack/],
    ['ZIP', bytes('PK\x03\x04'), /ZIP/, /Unpack/],
    ['an HTML page', Buffer.from('\ufeff<!DOCTYPE html>\n<html><body>404'), /HTML/, /downloaded/],
    ['XML', Buffer.from('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), /XML/, /downloaded/],
    ['JSON', Buffer.from('{"message":"Not found"}'), /JSON/, /downloaded/],
    ['text', Buffer.from('Zugriff verweigert: ä'), /text file/, /downloaded/],
    [
      'Git LFS',
      Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n'),
      /LFS/,
      /git lfs pull/,
    ],
    ['base64', Buffer.from(png.toString('base64')), /base64/, /Buffer\.from/],
    ['zeros', Buffer.alloc(5000), /zero bytes/, /again/],
    ['a damaged SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><rect'), /SVG.*damaged/, /another program/],
    ['half a JPEG', jpeg.subarray(0, jpeg.length / 2), /JPEG.*cut off/, /another program/],
    ['half a WebP', webp.subarray(0, webp.length / 2), /WebP.*cut off/, /another program/],
    ['half an AVIF', avif.subarray(0, avif.length / 2), /AVIF.*cut off/, /another program/],
    ['LERC in a TIFF', tiff({ ...pixel, tags: { 259: 34887 } }), /compressed with LERC/, /tiffcp/],
    ['something else', Buffer.from([3, 1, 4, 1, 5, 9, 2, 6, 0, 0xff]), /no image of a kind that is known/, /JPEG, PNG/],
  ])('%s', async (name, data, what, way) => {
    const file = path.join(folder, `${name}.jpg`) // the ending says nothing
    writeFileSync(file, data)
    for (const image of [file, data, sharp(data)] satisfies ImageInput[]) {
      const error = await rejection(decodeImage(image))
      expect(error).toMatchObject({ code: 'ERR_INVALID_IMAGE', fix: expect.stringMatching(way) })
      expect(error.message.replace(file, '')).toMatch(what)
      expect(error.cause).toBeUndefined()
      expect(error.message.includes(file)).toBe(image === file)
    }
  })

  it('any bytes at all are identified or not, without an error', () => {
    const random = seededRandom(3)
    const starts = ['II*\0', 'MM\0+', '\0\0\0\x18ftyp', 'RIFF', '<', '\0\0\0\0ftyp', 'II+\0\x08\0\0\0', '']
    for (let round = 0; round < 4000; round++) {
      const start = Buffer.from(starts[round % starts.length]!, 'latin1')
      const rest = Buffer.from(Array.from({ length: random() * 60 }, () => random() * 256))
      const kind = identify(Buffer.concat([start, rest]))
      expect(kind === undefined || kind.name.length > 0).toBe(true)
    }
  })
})

describe('images that fail at the same time', () => {
  it('have messages about their own file only, and good ones among them do not fail', async () => {
    const files = {
      'first-customer.png': png.subarray(0, png.length - 200),
      'second-customer.jpg': jpeg.subarray(0, jpeg.length / 2),
      'third-customer.heic': branded('heic'),
      'fourth-customer.webp': webp.subarray(0, webp.length / 2),
    }
    const names = Object.keys(files)
    for (const [name, data] of Object.entries(files)) writeFileSync(path.join(folder, name), data)
    for (let round = 0; round < 25; round++) {
      const good = decodeImage(png)
      const errors = await Promise.all(
        names.map((name) => {
          const file = path.join(folder, name)
          return rejection(round % 2 ? decodeImage(file) : openSource([file]))
        }),
      )
      for (const [index, error] of errors.entries()) {
        const said = [error.message, (error.cause as Error | undefined)?.message, error.stack].join('\n')
        expect(names.filter((name) => said.includes(name))).toEqual([names[index]])
        // What libvips says, whomever it is about.
        expect(said).not.toMatch(/bad seek|premature|load_|libpng|VipsJpeg|2vips|heif:/i)
      }
      expect([...(await good).data]).toEqual([...noise])
    }
  })

  it('a file that was written over is read anew, in every format', async () => {
    const of = (background: string) => sharp({ create: { width: 32, height: 24, channels: 3, background } })
    for (const format of ['png', 'jpeg', 'webp', 'tiff', 'gif', 'avif'] as const) {
      const file = path.join(folder, `upload.${format}`)
      writeFileSync(file, await of('#ff0000').toFormat(format).toBuffer())
      const [red] = (await decodeImage(file)).data
      writeFileSync(file, await of('#0000ff').toFormat(format).toBuffer())
      const [notRed, , blue] = (await decodeImage(file)).data
      expect([format, red! > 240, notRed! < 15, blue! > 240]).toEqual([format, true, true, true])
    }
  })
})

describe('a string that is no path', () => {
  const base64 = png.toString('base64')
  it.each<[string, string, RegExp]>([
    ['base64', base64, /base64/],
    ['base64 of a small image', base64.slice(0, 120), /base64/],
    ['base64 in lines', base64.replace(/.{76}/g, '$&\n'), /base64/],
    ['a data: address', `data:image/png;base64,${base64}`, /data:/],
    ['the text of an SVG', `<svg xmlns="http://www.w3.org/2000/svg">${' '.repeat(9000)}</svg>`, /SVG/],
    ['a long text', 'a photograph of a cup '.repeat(1000), /too long for a path/],
  ])('%s', async (_name, text, what) => {
    const error = await rejection(decodeImage(text))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringMatching(what) })
    expect(JSON.stringify([error.message, error.cause, error.stack]).length).toBeLessThan(3000)
    expect(error.message).not.toContain(text.slice(10, 60))
  })

  it('a long path is shortened, with its end', async () => {
    const error = await rejection(decodeImage(`${'folder/'.repeat(200)}cup.jpg`))
    expect(error).toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND', message: expect.stringContaining('cup.jpg') })
    expect(error.message.length).toBeLessThan(500)
    expect(error.cause).toBeUndefined()
  })
})

describe('things that hold an image', () => {
  it.each<[string, unknown, RegExp]>([
    ['a Blob', new Blob([png]), /arrayBuffer\(\)/],
    ['a File', new File([png], 'a.png'), /arrayBuffer\(\)/],
    ['a Response', new Response(png), /arrayBuffer\(\)/],
    ['a web stream', new Blob([png]).stream(), /new Response\(stream\)/],
    ['a stream', Readable.from([png]), /stream\/consumers/],
    ['a promise', Promise.resolve(png), /Await/],
    ["what sharp's resolveWithObject gives", { data: noise, info: {} }, /\.\.\.info/],
    ['a Float32Array', new Float32Array(3), /Uint8Array/],
  ])('%s: the message says how to get at it', async (_name, image, way) => {
    const error = await rejection(decodeImage(image as ImageInput))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARGUMENT', fix: expect.stringMatching(way) })
  })
})
