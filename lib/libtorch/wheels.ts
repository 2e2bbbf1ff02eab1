/** Chooses the wheels that make up a LibTorch: torch itself, and the libraries of NVIDIA that it says it needs. */
import { Sam3EnvironmentError } from '../base/errors.js'
import { type IndexFile, normaliseName, readProject } from './index-page.js'
import { type Line, publicAddress } from './line.js'
import type { Flavour } from './sources.js'

/** A wheel that is to be downloaded. */
export interface Wheel {
  name: string
  url: string
  size: number
  sha256: string
  metadata: boolean
}

/** A library that a wheel needs. */
export interface Companion {
  project: string
  version: string
}

interface WheelName {
  project: string
  version: string
  python: string
  platform: string
}

/** The parts of a wheel's file name (PEP 427). */
function parseName(name: string): WheelName | undefined {
  const parts = /^([^-]+)-([^-]+)(?:-\d[^-]*)?-([^-]+)-[^-]+-([^-]+)\.whl$/.exec(name)
  if (!parts) return undefined
  const [, project, version, python, platform] = parts as unknown as [string, string, string, string, string]
  return { project: normaliseName(project), version: decodeURIComponent(version), python, platform }
}

/** Of the builds for this system, the one for the newest Python: the libraries inside are the same. */
function pick(files: readonly IndexFile[], fits: (name: WheelName) => boolean): IndexFile | undefined {
  return files
    .flatMap((file) => {
      const name = parseName(file.name)
      // "t": free-threaded Python, whose builds are not made everywhere.
      return name && /linux.*_x86_64$/.test(name.platform) && fits(name) ? [{ file, name }] : []
    })
    .sort((one, other) => one.name.python.localeCompare(other.name.python, 'en', { numeric: true }))
    .at(-1)?.file
}

function notThere(what: string, indexes: readonly string[], fix: string): Sam3EnvironmentError {
  return new Sam3EnvironmentError(
    'ERR_LIBTORCH_DOWNLOAD',
    `${what} is not in ${indexes.map(publicAddress).join(', ')}.`,
    {
      fix,
    },
  )
}

async function complete(file: IndexFile, line: Line): Promise<Wheel> {
  if (!file.sha256) {
    throw new Sam3EnvironmentError('ERR_LIBTORCH_DOWNLOAD', `The index has no SHA-256 of ${file.name}.`, {
      fix: 'Use an index that has: nothing is installed that cannot be verified.',
    })
  }
  return { ...file, sha256: file.sha256, size: file.size ?? (await line.size(file.url)) }
}

/** Which CUDA the metadata of a torch wheel asks for, as a flavour: `cpu`, `cu126`, `cu130`, … */
export function flavourOf(metadata: string): string {
  const runtime = /^Requires-Dist:\s*nvidia-cuda-runtime(?:-cu\d+)?\s*\(?==\s*(\d+)\.(\d+)/im.exec(metadata)
  const toolkit = runtime ?? /^Requires-Dist:\s*cuda-toolkit(?:\[[^\]]*\])?\s*\(?==\s*(\d+)\.(\d+)/im.exec(metadata)
  return toolkit ? `cu${toolkit[1]}${toolkit[2]}` : 'cpu'
}

/** NVIDIA's libraries among the needs of a torch wheel for Linux. */
export function companionsOf(metadata: string): Companion[] {
  return [...metadata.matchAll(/^Requires-Dist:\s*(nvidia-[\w.-]+)\s*\(?==\s*([\w.+!]+)\)?\s*(?:;\s*(.*))?$/gim)]
    .filter(([, , , marker = '']) => !/\bextra\b|platform_system\s*==\s*["'](?!Linux)/.test(marker))
    .map(([, project, version]) => ({ project: normaliseName(project!), version: version! }))
}

/**
 * The torch wheel of a version and flavour: the build that carries the flavour in its version, else the plain one,
 * whose flavour its metadata must confirm.
 * @throws Sam3EnvironmentError `ERR_LIBTORCH_DOWNLOAD`
 */
export async function findTorch(
  indexes: readonly string[],
  version: string,
  flavour: Flavour,
  line: Line,
): Promise<Wheel> {
  const pages = await Promise.all(indexes.map((index) => readProject(index, 'torch', line)))
  const files = pages.flat()
  const file =
    pick(files, (name) => name.project === 'torch' && name.version === `${version}+${flavour}`) ??
    pick(files, (name) => name.project === 'torch' && name.version === version)
  const fix =
    'Name another index with --index, another --flavour, or use a LibTorch that is there already with --folder or --python.'
  if (!file) throw notThere(`torch ${version} for ${flavour} on Linux x64`, indexes, fix)
  return complete(file, line)
}

/** @throws Sam3EnvironmentError `ERR_LIBTORCH_DOWNLOAD` when the metadata is of another flavour */
export function checkFlavour(metadata: string, wheel: Wheel, flavour: Flavour): void {
  const found = flavourOf(metadata)
  if (found === flavour) return
  throw new Sam3EnvironmentError('ERR_LIBTORCH_DOWNLOAD', `${wheel.name} is for ${found}, not for ${flavour}.`, {
    fix: `Name an index that has torch for ${flavour} with --index, or leave --index out.`,
  })
}

/** The wheel of one library of NVIDIA. */
export async function findCompanion(
  indexes: readonly string[],
  { project, version }: Companion,
  line: Line,
): Promise<Wheel> {
  const files = (await Promise.all(indexes.map((index) => readProject(index, project, line)))).flat()
  const file = pick(files, (name) => name.project === project && name.version === version)
  if (!file) throw notThere(`${project} ${version}`, indexes, 'Name an index that has it with --index.')
  return complete(file, line)
}
