/** Reads the golden tensors. */
import { readFileSync } from 'node:fs'

/** A tensor of the file: its values, flat, and its shape. */
export interface Tensor {
  shape: number[]
  data: Float32Array | Uint8Array | BigInt64Array
}

/** All tensors of a safetensors file by name, as views of its bytes where alignment allows. */
export class SafetensorsFile {
  readonly #bytes: Buffer
  readonly #entries: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>
  readonly #start: number

  constructor(path: string) {
    this.#bytes = readFileSync(path)
    const headerLength = Number(this.#bytes.readBigUInt64LE(0))
    this.#start = 8 + headerLength
    this.#entries = JSON.parse(this.#bytes.toString('utf8', 8, this.#start))
  }

  has(name: string): boolean {
    return name in this.#entries
  }

  shape(name: string): number[] {
    return this.#entry(name).shape
  }

  floats(name: string): Float32Array {
    return new Float32Array(this.#copy(name, 'F32'))
  }

  bytes(name: string): Uint8Array {
    return new Uint8Array(this.#copy(name, 'U8'))
  }

  integers(name: string): number[] {
    return Array.from(new BigInt64Array(this.#copy(name, 'I64')), Number)
  }

  #entry(name: string) {
    const entry = this.#entries[name]
    if (!entry) throw new Error(`no tensor ${name}`)
    return entry
  }

  #copy(name: string, dtype: string): ArrayBuffer {
    const {
      dtype: actual,
      data_offsets: [from, to],
    } = this.#entry(name)
    if (actual !== dtype) throw new Error(`${name} is ${actual}, not ${dtype}`)
    return Uint8Array.from(this.#bytes.subarray(this.#start + from, this.#start + to)).buffer
  }
}
