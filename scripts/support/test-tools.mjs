// Programs and headers that the tests need besides Node's and Python's packages: what is installed is used, what is missing
// is brought, and where that cannot be done the step fails with the one command to type.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { run, SetupError } from './command.mjs'
import { bringPackages, installCommand, UNPACKED, UNPACKED_BIN } from './debian.mjs'

const FFMPEG = ['ffmpeg', 'ffprobe']

/** The folder that holds doctest/doctest.h, or undefined. */
function doctestFolder() {
  const places = [
    process.env.DOCTEST_INCLUDE_DIR,
    '/usr/include',
    '/usr/local/include',
    path.join(UNPACKED, 'usr/include'),
  ]
  return places.find((folder) => folder && existsSync(path.join(folder, 'doctest/doctest.h')))
}

/** The version of ffmpeg, or undefined where it or ffprobe does not run. */
async function ffmpegVersion() {
  const results = await Promise.all(FFMPEG.map((program) => run(program, ['-version'])))
  if (results.some(({ code }) => code !== 0)) return undefined
  return /version (\S+)/.exec(results[0].stdout)?.[1] ?? 'unknown'
}

/** The version of curl, or undefined where it does not run. */
async function curlVersion() {
  const { code, stdout } = await run('curl', ['--version'])
  return code === 0 ? /curl (\S+)/.exec(stdout)?.[1] : undefined
}

/** The version of redis-server, or undefined where it does not run. */
async function redisVersion() {
  const { code, stdout } = await run('redis-server', ['--version'])
  return code === 0 ? (/v=(\S+)/.exec(stdout)?.[1] ?? 'unknown') : undefined
}

/** The version of Chromium, or undefined where it does not run. */
async function chromiumVersion() {
  const { code, stdout } = await run('chromium', ['--version'])
  return code === 0 ? /Chromium (\S+)/.exec(stdout)?.[1] : undefined
}

function missing(name, debian, offline) {
  const fix = `${installCommand([debian])}, or leave the tests out that need it: npm test -- --without ${name}`
  if (offline) throw new SetupError(`${debian} is not installed, and SAM3_OFFLINE forbids to install it.`, fix)
  return fix
}

/** Finds or brings doctest, the framework of the native tests; adds its folder to the context as `doctest`. */
export async function bringDoctest(context, { offline }) {
  let how = 'up to date'
  if (!doctestFolder()) how = await bringPackages(['doctest-dev'], { fix: missing('native', 'doctest-dev', offline) })
  context.doctest = doctestFolder()
  if (!context.doctest)
    throw new SetupError(
      'There is no doctest/doctest.h after doctest-dev was installed.',
      'Name its folder: DOCTEST_INCLUDE_DIR.',
    )
  return how
}

/** Finds or brings `ip`, with which tests make a network of their own. */
export async function bringIproute(_context, { offline }) {
  const isThere = async () => (await run('sh', ['-c', 'PATH="$PATH:/usr/sbin:/sbin" ip -V'])).code === 0
  if (await isThere()) return 'up to date'
  const fix = missing('root', 'iproute2', offline)
  const how = await bringPackages(['iproute2'], { programs: ['ip'], fix })
  if (!(await isThere())) throw new SetupError('ip does not run after iproute2 was installed.', fix)
  return how
}

/** Finds or brings programs of one package; what this process starts afterwards finds them on the PATH. */
async function bringPrograms(name, debian, { version, offline, ...how }) {
  const found = await version()
  if (found) return found
  if (!process.env.PATH.startsWith(UNPACKED_BIN))
    process.env.PATH = `${UNPACKED_BIN}${path.delimiter}${process.env.PATH}`
  const unpacked = await version()
  if (unpacked) return `${unpacked}, from ${path.basename(UNPACKED_BIN)}`
  const fix = missing(name, debian, offline)
  const done = await bringPackages([debian], { ...how, fix })
  if (!(await version())) throw new SetupError(`${debian} does not run after it was brought.`, fix)
  return done
}

/** ffmpeg and ffprobe. */
export const bringFfmpeg = (_context, { offline }) =>
  bringPrograms('ffmpeg', 'ffmpeg', { version: ffmpegVersion, programs: FFMPEG, offline })

/** redis-server, which the tests of jobs start and kill; never as a service of the machine. */
export const bringRedis = (_context, { offline }) =>
  bringPrograms('redis', 'redis-server', { version: redisVersion, programs: ['redis-server'], beside: true, offline })

/** curl, with which the examples of docs/serve.md ask. */
export const bringCurl = (_context, { offline }) =>
  bringPrograms('curl', 'curl', { version: curlVersion, programs: ['curl'], offline })

/** Chromium, which the tests of the service's page drive. What starts it in usr/bin would look for it in the system. */
export const bringChromium = (_context, { offline }) =>
  bringPrograms('chromium', 'chromium', { version: chromiumVersion, programs: ['../lib/chromium/chromium'], offline })
