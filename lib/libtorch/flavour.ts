/** Chooses the flavour of LibTorch for this machine. */
import type { Flavour } from './sources.js'

/** What the GPU driver says. */
export interface Gpus {
  /** Newest CUDA that it serves, such as `12.6`; null without a driver. */
  driver: string | null
  /** `capability`: compute capability, such as `9.0`. */
  devices: readonly { name: string; capability: string }[]
}

/** CUDA 12.6 runs on every driver for CUDA 12, and has code for GPUs from 5.0 to 9.x. */
const DRIVER = 12
const CAPABILITY = { oldest: 5, newest: 9 }

/** Why a GPU cannot be used with CUDA 12.6; undefined when it can. */
export function obstacle({ driver, devices }: Gpus): string | undefined {
  if (driver === null) return 'no NVIDIA driver'
  if (Number.parseInt(driver, 10) < DRIVER) return `the driver serves CUDA ${driver} only`
  if (devices.length === 0) return 'the driver sees no GPU'
  const fits = devices.some(({ capability }) => {
    const major = Number.parseInt(capability, 10)
    return major >= CAPABILITY.oldest && major <= CAPABILITY.newest
  })
  return fits ? undefined : `CUDA 12.6 has no code for ${devices.map(({ name }) => name).join(', ')}`
}

/** What suits the machine, and why. */
export function chooseFlavour(gpus: Gpus): { flavour: Flavour; reason: string } {
  const why = obstacle(gpus)
  if (why) return { flavour: 'cpu', reason: why }
  return { flavour: 'cu126', reason: gpus.devices.map(({ name }) => name).join(', ') }
}
