/** What `sam3-node doctor` says about ffmpeg and ffprobe. Only video files need them: to have none is no problem. */
import { Sam3Error } from '../../base/errors.js'
import { findProgram, INSTALL_FIX, type ProgramName, VARIABLES } from '../../video/ffmpeg/find.js'
import { isTooOld, programVersion } from '../../video/ffmpeg/version.js'
import { type Finding, problem } from './findings.js'

export async function checkFfmpeg(): Promise<Finding[]> {
  return [await checkProgram('ffmpeg'), await checkProgram('ffprobe')]
}

async function checkProgram(name: ProgramName): Promise<Finding> {
  try {
    const program = findProgram(name, {})
    const version = await programVersion(name, program)
    const text = `${version.version}, ${program.path} (from ${program.from})`
    if (!isTooOld(version)) return { state: 'ok', subject: name, text }
    return { state: 'note', subject: name, text: `${text} is older than 4.4`, fix: INSTALL_FIX }
  } catch (error) {
    if (!(error instanceof Sam3Error)) throw error
    // What somebody named should be there.
    return { ...problem(name, error), state: process.env[VARIABLES[name]] ? 'problem' : 'note' }
  }
}
