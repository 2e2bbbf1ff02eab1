/** Boxes, points and grids of numbers, as they come in and go out. */

/** A box [x0, y0, x1, y1]: left, top, right, bottom, in pixels of the image as a person sees it (or 0..1 where `normalized`). */
export type Box = readonly [x0: number, y0: number, x1: number, y1: number]

/** A point [x, y] in pixels from the upper left corner (or 0..1 where `normalized`). */
export type Point = readonly [x: number, y: number]

/** A typed array of numbers, such as an output of another model. Those of BigInt are none. */
export type NumberArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array

/** A box as it can be passed. */
export type BoxInput = Box | NumberArray

/** A point as it can be passed. */
export type PointInput = Point | NumberArray

/** Mask logits as the network gives them, before they are resized to the image: above 0 means set. */
export interface MaskLogits {
  /** `width * height` values, row-major. */
  data: Float32Array
  /** Side of the network's mask grid: 288 at the default input size. */
  width: number
  /** Same as `width`. */
  height: number
}
