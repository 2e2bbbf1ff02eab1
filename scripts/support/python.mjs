// The Python side of the set-up: which interpreter, where its LibTorch is, and the project's own environment.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { must, root, run, SetupError } from './command.mjs'

/** The LibTorch that the project is built and tested with. */
export const TORCH_VERSION = '2.13.0'
/** SAM3_ANY_TORCH=1 accepts every LibTorch from this version on (what scripts/gpu-check does). */
const OLDEST = [2, 7]
const PYTHON_FIX =
  'Install Python 3.10 or newer with pip and venv (on Debian and Ubuntu: apt install python3 python3-pip python3-venv), or name one: SAM3_PYTHON=/path/to/python3.'

const numbers = (version) => version.split(/[.+]/).slice(0, 2).map(Number)

/** Whether the engine may be built against this version of LibTorch. */
export function acceptsTorch(version) {
  const [major, minor] = numbers(version)
  if (process.env.SAM3_ANY_TORCH === '1') return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])
  const [wantedMajor, wantedMinor] = numbers(TORCH_VERSION)
  return major === wantedMajor && minor === wantedMinor
}

/**
 * Reads the version of a LibTorch folder (one with include/ and lib/) from its own header, which moved in 2.10; null if
 * it is no such folder.
 * @param {string} folder
 */
export function libtorchVersion(folder) {
  const places = ['include/torch/headeronly/version.h', 'include/torch/csrc/api/include/torch/version.h']
  for (const file of places.map((place) => path.join(folder, place)).filter(existsSync)) {
    const numbersIn = [...readFileSync(file, 'utf8').matchAll(/^#define TORCH_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)/gm)]
    if (numbersIn.length === 3) return numbersIn.map((match) => match[1]).join('.')
  }
  return null
}

/**
 * What an interpreter has, without importing torch (which takes seconds); null if it cannot be run.
 * @returns {Promise<{ executable: string, version: string, site: string[], pip: boolean, torch: null | { version: string, folder: string } } | null>}
 */
export async function inspectPython(executable) {
  const code = `
import importlib.util as u, json, site, sys
torch = None
spec = u.find_spec("torch")
if spec and spec.submodule_search_locations:
    import importlib.metadata as m
    torch = {"version": m.version("torch"), "folder": list(spec.submodule_search_locations)[0]}
paths = [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
print(json.dumps({"executable": sys.executable, "version": sys.version.split()[0], "site": paths,
                  "pip": u.find_spec("pip") is not None, "torch": torch}))`
  const result = await run(executable, ['-c', code])
  if (result.code !== 0) return null
  return JSON.parse(result.stdout)
}

const own = path.join(root, '.venv')
const ownPython = path.join(own, 'bin', 'python')

function interpreters() {
  const inside = (folder) => folder && path.join(folder, 'bin', 'python')
  return [inside(process.env.VIRTUAL_ENV), inside(process.env.CONDA_PREFIX), 'python3'].filter(Boolean)
}

/** The first interpreter that runs and is new enough, as a base for the project's own environment. */
export async function basePython() {
  for (const candidate of interpreters()) {
    const found = await inspectPython(candidate)
    if (!found) continue
    const [major, minor] = numbers(found.version)
    if (major === 3 && minor >= 10) return found
  }
  throw new SetupError('No Python 3.10 or newer was found.', PYTHON_FIX)
}

async function createEnvironment(base) {
  const plain = await run(base.executable, ['-m', 'venv', own])
  if (plain.code === 0) return
  // Debian splits ensurepip off into python3-venv. The base's pip can fill an environment that has none.
  const fix = `${PYTHON_FIX} Then remove the folder .venv and run this again.`
  if (!base.pip)
    throw new SetupError(`\`python3 -m venv .venv\` failed and there is no pip either:\n${plain.output}`, fix)
  await must(base.executable, ['-m', 'venv', '--clear', '--without-pip', own], fix)
  await must(base.executable, ['-m', 'pip', '--python', ownPython, 'install', 'pip'], fix)
}

/** Installs packages into the project's Python with pip; where from is pip's own configuration. */
export async function pipInstall(python, packages) {
  await must(
    python,
    ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', ...packages],
    "Check the network, and pip's own configuration (`pip config list`). Behind a proxy set HTTPS_PROXY; with a mirror set PIP_INDEX_URL.",
  )
}

/**
 * The interpreter that the project works with, torch included: SAM3_PYTHON as it is, else the project's own .venv,
 * which borrows torch from another environment that has the right version, or installs it.
 */
export async function projectPython() {
  if (process.env.SAM3_PYTHON) {
    const chosen = await inspectPython(process.env.SAM3_PYTHON)
    if (!chosen?.torch || !acceptsTorch(chosen.torch.version)) {
      const has = chosen ? (chosen.torch ? `torch ${chosen.torch.version}` : 'no torch') : 'could not be run'
      throw new SetupError(
        `SAM3_PYTHON=${process.env.SAM3_PYTHON}: ${has}; torch ${TORCH_VERSION} is needed.`,
        `Unset SAM3_PYTHON, or install torch==${TORCH_VERSION} there.`,
      )
    }
    return { ...chosen, how: 'SAM3_PYTHON' }
  }
  const existing = existsSync(ownPython) ? await inspectPython(ownPython) : null
  if (existing?.torch && acceptsTorch(existing.torch.version)) return { ...existing, how: 'up to date' }

  const bases = (await Promise.all(interpreters().map(inspectPython))).filter(Boolean)
  const lender = bases.find((candidate) => candidate.torch && acceptsTorch(candidate.torch.version))
  if (!existing) await createEnvironment(lender ?? (await basePython()))
  if (lender) {
    const { site } = await inspectPython(ownPython)
    writeFileSync(path.join(site[0], 'sam3-borrowed.pth'), `${lender.site.join('\n')}\n`)
  } else {
    await pipInstall(ownPython, [`torch==${TORCH_VERSION}`, 'numpy'])
  }
  const ready = await inspectPython(ownPython)
  if (!ready?.torch)
    throw new SetupError(
      'torch is not importable from .venv after its installation.',
      'Remove the folder .venv and run this again.',
    )
  return { ...ready, how: lender ? `torch of ${lender.executable}` : `installed torch ${ready.torch.version} with pip` }
}
