/** Decoded images, against the pixels that the reference saw. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import { decodeImage } from '../../../lib/image/decode.js'
import { largestDifference } from '../../support/compare.js'
import { exactImagePath, imagePath, leftOut, replay, tensorsOf } from '../../support/golden-set.js'

replay<{ images: Record<string, unknown> }>('decoded pixels against the reference', 'image', (golden) => {
  const names = Object.keys(golden.images)
  const lossy = names.filter((name) => exactImagePath(name) !== imagePath(name))
  const exact = names.filter((name) => !lossy.includes(name) && existsSync(imagePath(name)))

  it.each(exact)('%s is exact', async (name) => {
    const { data } = await decodeImage(imagePath(name))
    const expected = tensorsOf('image').bytes(`img.${name}.rgb_sha_input`)
    expect(createHash('sha256').update(data).digest('hex')).toBe(Buffer.from(expected).toString('hex'))
  })

  if (lossy.length === 0) leftOut('JPEG with the pixels that the reference decoded')
  it.each(lossy)('%s is within what decoders may differ by', async (name) => {
    const [ours, theirs] = await Promise.all([imagePath(name), exactImagePath(name)].map((path) => decodeImage(path)))
    expect(largestDifference(ours!.data, theirs!.data)).toBeLessThanOrEqual(4)
  })
})
