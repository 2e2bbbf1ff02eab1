/** The first calls of a model take longer than all others: memory is found, kernels are chosen. Here nobody waits. */
import type { Sam3ImageModel } from 'sam3-node'

const SIDE = 64

/** Runs each kind of call once, as far as the model has it. */
export async function warmUp(model: Sam3ImageModel): Promise<void> {
  const { detector, clicks } = model.info.parts
  const image = { width: SIDE, height: SIDE, channels: 3, data: new Uint8Array(SIDE * SIDE * 3) } as const
  if (detector) await model.segment(image, { text: 'object', maxInstances: 1 })
  if (clicks) await model.predict(image, { points: [[SIDE / 2, SIDE / 2]] })
}
