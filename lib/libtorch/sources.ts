/** Where LibTorch is downloaded from: data. What is known about a file is written down here, everything else is asked. */
import type { Environment } from '../base/expand.js'

/** Which devices a LibTorch is built for. One engine runs with every flavour of its version. */
export type Flavour = 'cpu' | 'cu126'

export const FLAVOURS: readonly Flavour[] = ['cpu', 'cu126']

/** PyTorch's own host of LibTorch archives and wheels. */
const HOST = 'https://download.pytorch.org'

/** One archive with everything in it. */
interface Archive {
  /** Path on the host. */
  path: string
  bytes: number
  sha256: string
}

/**
 * Archives whose content is known. Those for CUDA are not here: they hold none of NVIDIA's libraries and do not say
 * which they need, while the wheels of the same build do, so that flavour comes as wheels.
 */
const ARCHIVES: Readonly<Record<string, Archive>> = {
  '2.13.0+cpu': {
    path: 'libtorch/cpu/libtorch-shared-with-deps-2.13.0%2Bcpu.zip',
    bytes: 126_385_248,
    sha256: 'edbf4cbed78433d803e90a65f1752e57783d164bce66c95c0872b2ab8f5c159e',
  },
}

/** PyTorch's wheels, by flavour: an index as pip reads it. */
const WHEELS: Readonly<Record<Flavour, string>> = { cpu: 'whl/cpu', cu126: 'whl/cu126' }

/** Where one LibTorch comes from. */
export type Source =
  | { kind: 'archive'; url: string; bytes: number; sha256: string }
  /** Indexes that are asked in turn, without a slash at their end. */
  | { kind: 'wheels'; indexes: readonly string[] }

/** The host, or what stands in for it: a mirror with the same paths. */
function host(env: Environment): string {
  return (env.SAM3_LIBTORCH_MIRROR || HOST).replace(/\/+$/, '')
}

/** @param version such as `2.13.0` */
export function officialSource(version: string, flavour: Flavour, env: Environment): Source {
  const archive = ARCHIVES[`${version}+${flavour}`]
  if (archive) return { kind: 'archive', url: `${host(env)}/${archive.path}`, ...known(archive) }
  return { kind: 'wheels', indexes: [`${host(env)}/${WHEELS[flavour]}`] }
}

function known({ bytes, sha256 }: Archive): Pick<Archive, 'bytes' | 'sha256'> {
  return { bytes, sha256 }
}
