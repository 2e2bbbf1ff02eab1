// What the compiler says to a user of images. `tsc` checks this file (lint, `npm run typecheck`); it is never run.

import type { Sharp } from 'sharp'
import { expectTypeOf } from 'vitest'
import {
  type Box,
  type BoxInput,
  buildSam3ImageModel,
  type CocoJson,
  type EncodedImage,
  type ImageInput,
  type Mask,
  type MaskLogits,
  type Prediction,
  type PromptInput,
  overlay,
  type Sam3ImageModel,
  type Segmentation,
  toCocoJson,
} from '../../lib/index.js'

export async function models() {
  expectTypeOf(buildSam3ImageModel()).resolves.toEqualTypeOf<Sam3ImageModel>()
  await buildSam3ImageModel({ model: 'demo', device: 'cuda:1', dtype: 'bfloat16', signal: AbortSignal.timeout(1) })
  // @ts-expect-error misspelt
  await buildSam3ImageModel({ modell: 'demo' })
  // @ts-expect-error an option of sessions
  await buildSam3ImageModel({ history: 'full' })
  // @ts-expect-error no such device
  await buildSam3ImageModel({ device: 'gpu' })
  // @ts-expect-error no such dtype
  await buildSam3ImageModel({ dtype: 'float64' })

  await using model = await buildSam3ImageModel()
  expectTypeOf(model).toExtend<AsyncDisposable>()
  using image = await model.encode('photo.jpg')
  expectTypeOf(image).toEqualTypeOf<EncodedImage>()
  expectTypeOf(image).toExtend<Disposable>()
  expectTypeOf(model.stats().queued).toBeNumber()
  expectTypeOf(model.info.validInputSizes).toEqualTypeOf<readonly number[]>()
  // @ts-expect-error what a model is does not change
  model.info = { ...model.info }
}

export function inputs(sharp: Sharp, floats: Float32Array, bytes: Uint8Array) {
  expectTypeOf<string | URL | Uint8Array | ArrayBuffer | Buffer>().toExtend<ImageInput>()
  expectTypeOf(sharp).toExtend<ImageInput>()
  expectTypeOf({ data: bytes, width: 2, height: 2, channels: 3 as const }).toExtend<ImageInput>()
  expectTypeOf({ data: floats, width: 2, height: 2, channels: 3 as const }).not.toExtend<ImageInput>()
  expectTypeOf({ data: bytes, width: 2, height: 2 }).not.toExtend<ImageInput>()
  expectTypeOf<[0, 0, 1, 1] | Float32Array | Int32Array>().toExtend<BoxInput>()
  expectTypeOf<[0, 0, 1] | number[] | BigInt64Array>().not.toExtend<BoxInput>()
}

export function texts(model: Sam3ImageModel, image: EncodedImage, prompts: readonly PromptInput[]) {
  // One question has one answer, however it is put.
  expectTypeOf(model.segment('a.jpg', 'cup')).resolves.toEqualTypeOf<Segmentation>()
  expectTypeOf(model.segment(image, { text: 'cup', maxInstances: 3 })).resolves.toEqualTypeOf<Segmentation>()
  expectTypeOf(image.segment({ boxes: [[0, 0, 9, 9]] })).resolves.toEqualTypeOf<Segmentation>()
  expectTypeOf(image.segment({ boxes: [{ box: [0, 0, 9, 9], label: 0 }] })).resolves.toEqualTypeOf<Segmentation>()
  expectTypeOf(image.segment({ boxes: new Float32Array(8) })).resolves.toEqualTypeOf<Segmentation>()
  // Several have as many.
  expectTypeOf(model.segment('a.jpg', { text: ['cup', 'dog'] })).resolves.toEqualTypeOf<Segmentation[]>()
  expectTypeOf(model.segment('a.jpg', ['cup', { text: 'dog' }])).resolves.toEqualTypeOf<Segmentation[]>()
  expectTypeOf(image.segment(prompts)).resolves.toEqualTypeOf<Segmentation[]>()
  expectTypeOf(image.segment(['cup'], { signal: AbortSignal.timeout(1) })).resolves.toEqualTypeOf<Segmentation[]>()
  // Several images: a list for each.
  expectTypeOf(
    model.segmentBatch([
      { image: 'a.jpg', text: 'cup' },
      { image, text: ['cup', 'dog'] },
      { image, prompts },
    ]),
  ).resolves.toEqualTypeOf<Segmentation[][]>()

  // @ts-expect-error misspelt
  model.segment('a.jpg', { txt: 'cup' })
  // @ts-expect-error misspelt
  image.segment({ text: 'cup', treshold: 0.4 })
  // @ts-expect-error clicks are asked with predict
  image.segment({ points: [[1, 2]] })
  // @ts-expect-error a box has four numbers
  image.segment({ boxes: [[0, 0, 9]] })
  // @ts-expect-error no such label
  image.segment({ boxes: [{ box: [0, 0, 9, 9], label: 'maybe' }] })
  // @ts-expect-error misspelt
  image.segment('cup', { sginal: AbortSignal.timeout(1) })
  // @ts-expect-error an encoded image asks about itself
  image.segment('a.jpg', 'cup')
  // @ts-expect-error an item has an image
  model.segmentBatch([{ text: 'cup' }])
}

export function clicks(model: Sam3ImageModel, image: EncodedImage, earlier: Prediction) {
  expectTypeOf(model.predict('a.jpg', { points: [[1, 2]], labels: [1] })).resolves.toEqualTypeOf<Prediction>()
  expectTypeOf(image.predict({ box: [0, 0, 9, 9] })).resolves.toEqualTypeOf<Prediction>()
  expectTypeOf(
    image.predict({ points: new Float32Array(4), labels: new Uint8Array(2) }),
  ).resolves.toEqualTypeOf<Prediction>()
  expectTypeOf(image.predict([{ points: [[1, 2]] }, { box: [0, 0, 9, 9] }])).resolves.toEqualTypeOf<Prediction[]>()
  expectTypeOf(model.predict(image, [{ points: [[1, 2]] }])).resolves.toEqualTypeOf<Prediction[]>()
  const logits = earlier.best.mask.logits
  expectTypeOf(logits).toEqualTypeOf<MaskLogits | undefined>()
  if (logits) image.predict({ points: [[1, 2]], maskInput: logits, multimask: false })

  // @ts-expect-error a text is asked with segment
  image.predict({ text: 'cup' })
  // @ts-expect-error misspelt
  image.predict({ points: [[1, 2]], multiMask: true })
  // @ts-expect-error a list of points, not one
  image.predict({ points: [1, 2] })
  // @ts-expect-error no such label
  image.predict({ points: [[1, 2]], labels: [2] })
}

export function results({ instances, semantic, warnings }: Segmentation, { masks, scores, best }: Prediction) {
  for (const { score, box, mask, label } of instances) {
    expectTypeOf(score).toBeNumber()
    expectTypeOf(box).toEqualTypeOf<Box>()
    expectTypeOf(mask).toEqualTypeOf<Mask>()
    expectTypeOf(label).toEqualTypeOf<string | undefined>()
    // @ts-expect-error a box is read, not written
    box[0] = 1
  }
  expectTypeOf(semantic).toEqualTypeOf<Mask | undefined>()
  expectTypeOf(warnings).toEqualTypeOf<string[]>()
  expectTypeOf(masks).toEqualTypeOf<Mask[]>()
  expectTypeOf(scores).toEqualTypeOf<number[]>()
  expectTypeOf(best.mask.toBitmap()).toEqualTypeOf<Uint8Array>()
  expectTypeOf(best.mask.toRle().counts).toBeString()
  expectTypeOf(best.mask.toPng()).resolves.toEqualTypeOf<Buffer>()
  // What is found can be drawn and exported as it is.
  expectTypeOf(overlay('a.jpg', instances)).resolves.toEqualTypeOf<Buffer>()
  expectTypeOf(toCocoJson([{ fileName: 'a.jpg', width: 9, height: 9, instances }])).toEqualTypeOf<CocoJson>()
}
