// Programs and headers from Debian's (or Ubuntu's) packages: installed where this process may, else unpacked into the build
// folder, for which nobody's permission is needed.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { must, root, run, SetupError } from './command.mjs'

/** Where packages are unpacked that cannot be installed: a tree as `/` is one. */
export const UNPACKED = path.join(root, 'build/debian')
/** Wrappers of the programs in there, which find their libraries. */
export const UNPACKED_BIN = path.join(root, 'build/bin')

const UNATTENDED = { DEBIAN_FRONTEND: 'noninteractive' }

async function install(names, fix) {
  await must('apt-get', ['update', '-qq'], fix)
  await must('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], fix, { env: UNATTENDED })
  return `installed ${names.join(', ')} with apt-get`
}

/** Every folder under usr/lib that holds a shared library: some packages have one of their own (blas, pulseaudio). */
function libraryFolders(folder) {
  if (!existsSync(folder)) return []
  const entries = readdirSync(folder, { withFileTypes: true })
  const inside = entries
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => libraryFolders(path.join(folder, name)))
  return entries.some(({ name }) => /\.so(\.|$)/.test(name)) ? [folder, ...inside] : inside
}

/** Lets the unpacked programs run by their names with the unpacked libraries. */
function wrap(programs) {
  const folders = [path.join(UNPACKED, 'usr/lib'), path.join(UNPACKED, 'lib')].flatMap(libraryFolders)
  mkdirSync(UNPACKED_BIN, { recursive: true })
  for (const name of programs) {
    const program = path.join(UNPACKED, 'usr/bin', name)
    if (!existsSync(program)) continue
    const text = `#!/bin/sh\nLD_LIBRARY_PATH='${folders.join(':')}' exec '${program}' "$@"\n`
    writeFileSync(path.join(UNPACKED_BIN, path.basename(name)), text, { mode: 0o755 })
  }
}

/** Downloads packages, with those that they need and that the system lacks, and unpacks them; needs no rights. */
async function unpack(names, programs, fix) {
  const state = path.join(root, 'build/apt')
  for (const folder of ['lists/partial', 'cache/archives/partial'])
    mkdirSync(path.join(state, folder), { recursive: true })
  const own = [`Dir::State::lists=${state}/lists`, `Dir::Cache=${state}/cache`, 'Debug::NoLocking=1'].flatMap((one) => [
    '-o',
    one,
  ])
  await must('apt-get', ['update', '-qq', ...own], fix)
  const download = ['install', '-y', '-qq', '--download-only', '--no-install-recommends', ...own, ...names]
  await must('apt-get', download, fix, { env: UNATTENDED })
  mkdirSync(UNPACKED, { recursive: true })
  const archives = path.join(state, 'cache/archives')
  const files = readdirSync(archives).filter((name) => name.endsWith('.deb'))
  for (const file of files) await must('dpkg-deb', ['-x', path.join(archives, file), UNPACKED], fix)
  wrap(programs)
  return `${files.length} packages for ${names.join(', ')} unpacked into ${path.relative(root, UNPACKED)}`
}

/** The distribution's own word for how a package is installed, for those who must type it. */
export function installCommand(names) {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
  const like = /^ID(?:_LIKE)?=.*$/gm
  const family = (release.match(like) ?? []).join(' ')
  if (/fedora|rhel/.test(family)) return `sudo dnf install ${names.join(' ').replace('doctest-dev', 'doctest-devel')}`
  if (/arch/.test(family)) return `sudo pacman -S ${names.join(' ').replace('doctest-dev', 'doctest')}`
  return `sudo apt-get install ${names.join(' ')}`
}

/**
 * Brings packages in the way that this machine allows.
 * @param {string[]} names
 * @param {{ programs?: string[], beside?: boolean, fix: string }} options `programs`: what the packages hold that is
 *   called by its name, as paths from usr/bin; `beside`: unpack them in any case, because to install them would start a
 *   service of the machine
 * @returns {Promise<string>} what was done
 * @throws {SetupError} where neither way works, with the command to type
 */
export async function bringPackages(names, { programs = [], beside = false, fix }) {
  if ((await run('apt-get', ['--version'])).code !== 0)
    throw new SetupError(`${names.join(' and ')} cannot be installed here: there is no apt-get.`, fix)
  return process.getuid() === 0 && !beside ? install(names, fix) : unpack(names, programs, fix)
}
