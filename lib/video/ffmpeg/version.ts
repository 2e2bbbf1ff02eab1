/** Which ffmpeg it is, and whether it is one at all. */
import { stat } from 'node:fs/promises'
import { Sam3EnvironmentError } from '../../base/errors.js'
import { type FoundProgram, INSTALL_FIX, type ProgramName } from './find.js'
import { runToEnd } from './process.js'

/** What `-version` says. */
export interface ProgramVersion {
  /** Such as `5.1.9-0+deb12u1`, `N-109542-gad0b3bd`. */
  version: string
  /** Of libavutil, which builds without a number have as well; undefined where it is not said. */
  library: readonly [major: number, minor: number] | undefined
}

/** libavutil of ffmpeg 4.4, the oldest that is tested. */
const OLDEST = [56, 70] as const
/** libavutil of ffmpeg 5.1, since which frames are passed on by -fps_mode. */
const FPS_MODE = [57, 28] as const

function isBefore({ library }: ProgramVersion, [major, minor]: readonly [number, number]): boolean {
  if (!library) return false
  return library[0] < major || (library[0] === major && library[1] < minor)
}

/** Whether it is older than the 4.4 that is needed. */
export const isTooOld = (version: ProgramVersion) => isBefore(version, OLDEST)

/** Passes frames on with their own times: none is doubled or dropped for a constant rate. */
export function keepTimes(version: ProgramVersion): string[] {
  return isBefore(version, FPS_MODE) ? ['-vsync', 'passthrough'] : ['-fps_mode', 'passthrough']
}

/** Programs that were asked already, by path, size and time of change. */
const known = new Map<string, Promise<ProgramVersion>>()

/**
 * Asks a program which one it is; each is asked once.
 * @throws Sam3EnvironmentError `ERR_FFMPEG_NOT_FOUND` where it does not run, or is another program
 */
export async function programVersion(name: ProgramName, program: FoundProgram): Promise<ProgramVersion> {
  const { size, mtimeMs } = await stat(program.path).catch(() => ({ size: 0, mtimeMs: 0 }))
  const key = `${name} ${program.path} ${size} ${mtimeMs}`
  let asked = known.get(key)
  if (!asked) {
    asked = ask(name, program)
    known.set(key, asked)
    asked.catch(() => known.delete(key))
  }
  return asked
}

async function ask(name: ProgramName, program: FoundProgram): Promise<ProgramVersion> {
  let version: string | undefined
  let library: [number, number] | undefined
  const { exit, lastLines } = await runToEnd(program.path, ['-version'], (line) => {
    const [, first, text] = /^(\w+) version (\S+)/.exec(line) ?? []
    if (first === name) version ??= text
    const [, major, minor] = /^libavutil +(\d+)\. *(\d+)\./.exec(line) ?? []
    if (major !== undefined) library ??= [Number(major), Number(minor)]
  })
  if (exit.code === 0 && version !== undefined) return { version, library }
  throw notWorking(name, program, lastLines)
}

/** A program that starts, but is not what it should be: one for another processor, which a shell tries to read. */
export function notWorking(name: ProgramName, { path, from }: FoundProgram, lastLines: string): Sam3EnvironmentError {
  const said = lastLines ? ` It says:\n${lastLines}\n` : ''
  return new Sam3EnvironmentError('ERR_FFMPEG_NOT_FOUND', `${path} (from ${from}) is no working ${name}.${said}`, {
    fix: `Run it with -version: it may be built for another system. ${INSTALL_FIX}`,
  })
}
