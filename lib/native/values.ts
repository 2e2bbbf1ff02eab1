/** What images and video sessions both hand over at the engine's border. */

/** Cancels queued work, or running work between two steps. */
export interface NativeCancelToken {
  cancel(): void
}

/** RGB bytes, height x width x 3. Read on the engine thread: must not change until the promise settles. */
export interface NativeRawImage {
  data: Uint8Array
  width: number
  height: number
}

/** K masks as COCO run lengths (column-major, first run counts zeros). `boxes`: 4K, x, y, w, h of the set pixels. */
export interface NativeMasks {
  width: number
  height: number
  runs: Uint32Array[]
  areas: Float64Array
  boxes: Int32Array
}
