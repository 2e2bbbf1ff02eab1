// The Python side of the set-up: which interpreter, where its LibTorch is, and the project's own environment.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { must, root, run, SetupError } from './command.mjs'
import { readRequirements } from './requirements.mjs'

/** The LibTorch that the project is built and tested with. */
export const TORCH_VERSION = /^torch==([\d.]+)$/m.exec(readFileSync(path.join(root, 'requirements.txt'), 'utf8'))[1]
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

/** Interpreters of this machine that have the right torch: the project's own may borrow it from the first of them. */
async function torchLender() {
  const found = (await Promise.all(interpreters().map(inspectPython))).filter(Boolean)
  return found.find(({ torch }) => torch && acceptsTorch(torch.version))
}

/**
 * The interpreter that the project works with: SAM3_PYTHON as it is, else the project's own .venv, which is made if it is
 * not there.
 * @returns {Promise<{ python: string, pythonVersion: string, ownsPython: boolean, how: string }>}
 */
export async function projectPython() {
  const named = process.env.SAM3_PYTHON
  const found = named ? await inspectPython(named) : existsSync(ownPython) && (await inspectPython(ownPython))
  if (named && !found) throw new SetupError(`SAM3_PYTHON=${named} could not be run.`, PYTHON_FIX)
  if (!found) await createEnvironment((await torchLender()) ?? (await basePython()))
  const chosen = found || (await inspectPython(ownPython))
  const how = named ? 'SAM3_PYTHON' : found ? 'up to date' : 'made .venv'
  return { python: chosen.executable, pythonVersion: chosen.version, ownsPython: !named, how }
}

/**
 * Gives the project's Python its torch: the one that it has, one borrowed from another environment, or one from pip.
 * @returns {Promise<{ version: string, folder: string, how: string }>}
 */
export async function projectTorch({ python, pythonVersion, ownsPython }) {
  const { torch: existing } = await inspectPython(python)
  if (existing && acceptsTorch(existing.version)) return { ...existing, how: ownsPython ? 'up to date' : 'SAM3_PYTHON' }
  if (!ownsPython)
    throw new SetupError(
      `SAM3_PYTHON=${python}: ${existing ? `torch ${existing.version}` : 'no torch'}; torch ${TORCH_VERSION} is needed.`,
      `Unset SAM3_PYTHON, or install torch==${TORCH_VERSION} there.`,
    )
  const lender = await torchLender()
  if (lender) {
    const { site } = await inspectPython(python)
    writeFileSync(path.join(site[0], 'sam3-borrowed.pth'), `${lender.site.join('\n')}\n`)
  } else {
    const wanted = readRequirements('requirements.txt', pythonVersion)
    await pipInstall(
      python,
      wanted.map(({ name, version }) => `${name}==${version}`),
    )
  }
  const { torch } = await inspectPython(python)
  if (!torch)
    throw new SetupError(
      'torch is not importable from .venv after its installation.',
      'Remove the folder .venv and run this again.',
    )
  return { ...torch, how: lender ? `borrowed from ${lender.executable}` : `installed torch ${torch.version} with pip` }
}

/** The versions that the interpreter has of these packages; null for those that are missing. */
async function installedVersions(python, names) {
  const code = `
import importlib.metadata as m, json, sys
def version(name):
    try:
        return m.version(name)
    except m.PackageNotFoundError:
        return None
print(json.dumps({name: version(name) for name in json.loads(sys.argv[1])}))`
  const { stdout } = await must(
    python,
    ['-c', code, JSON.stringify(names)],
    'Remove the folder .venv and run this again.',
  )
  return JSON.parse(stdout)
}

/**
 * Installs what is missing of requirements-dev.txt, or of those packages of it that are named.
 * @param {{ python: string, pythonVersion: string, ownsPython: boolean }} context an interpreter that is not the
 *   project's own keeps the versions that it has
 * @param {{ names?: string[], offline: boolean }} options
 * @returns {Promise<string[]>} what was missing, as `name==version`: installed, unless `offline`
 */
export async function bringRequirements({ python, pythonVersion, ownsPython }, { names, offline }) {
  const wanted = readRequirements('requirements-dev.txt', pythonVersion).filter(
    ({ name }) => names?.includes(name) ?? true,
  )
  const found = await installedVersions(
    python,
    wanted.map(({ name }) => name),
  )
  const missing = wanted
    .filter(({ name, version }) => (ownsPython ? found[name] !== version : found[name] === null))
    .map(({ name, version }) => `${name}==${version}`)
  if (missing.length > 0 && !offline) await pipInstall(python, missing)
  return missing
}
