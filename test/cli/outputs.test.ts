/** Where a command line may write: told before any work begins. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, expect, it, vi } from 'vitest'
import { describeError, describeFailure, exitCodeOf } from '../../lib/cli/common/output.js'
import { checkOutputFile, checkOutputFolder, checkVideoOrFolder, isVideoOutput } from '../../lib/cli/common/outputs.js'
import { Sam3InputError, Sam3ModelError, Sam3RuntimeError } from '../../lib/index.js'

/** Tests may run as root, whom no folder refuses: here one does. */
const { closed } = vi.hoisted(() => ({ closed: { folder: '' } }))
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  return {
    ...fs,
    accessSync: (where: string, mode: number) => {
      if (where === closed.folder) throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
      fs.accessSync(where, mode)
    },
  }
})

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-outputs-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => {
  closed.folder = ''
})
const file = (name: string) => path.join(folder, name)
writeFileSync(file('plain'), 'a file')
writeFileSync(file('old.mp4'), 'a video of yesterday')
mkdirSync(file('made.mp4'))
mkdirSync(file('run.v2'))
symlinkSync(file('run.v2'), file('link.png'))
execFileSync('mkfifo', [file('pipe.json')])
const there = readdirSync(folder).sort()

const errorOf = (check: () => void): Sam3InputError | undefined => {
  try {
    check()
    return undefined
  } catch (error) {
    return error as Sam3InputError
  }
}

it.each<[string, boolean]>([
  ['new.mp4', true],
  ['NEW.MKV', true],
  ['old.mp4', true],
  ['deep/er/new.webm', true],
  ['made.mp4', false],
  ['new.mp4/', false],
  ['run.v2', false],
  ['link.png', false],
  ['pictures', false],
  ['run-2024.05.01', false],
  ['.hidden', false],
  ['new.avi/', false],
])('track --out %s: a video: %s', (name, isVideo) => {
  const at = `${folder}/${name}`
  expect(errorOf(() => checkVideoOrFolder(at))).toBeUndefined()
  expect(isVideoOutput(at)).toBe(isVideo)
  expect(readdirSync(folder).sort()).toEqual(there)
})

it.each<[string, (at: string) => void, string, string]>([
  ['track', checkVideoOrFolder, 'new.avi', 'is no kind of video that can be written'],
  ['track', checkVideoOrFolder, 'new.GIF', 'endings .mp4, .m4v, .mov, .mkv, .webm'],
  ['track', checkVideoOrFolder, 'new.txt', 'a folder for pictures'],
  ['track', checkVideoOrFolder, 'plain', 'is a file, where a folder is needed'],
  ['track', checkVideoOrFolder, 'plain/', 'is no folder'],
  ['track', checkVideoOrFolder, 'plain/new.mp4', 'plain is no folder'],
  ['segment', (at) => checkOutputFolder('--out', at), 'plain', 'is a file, where a folder is needed'],
  ['segment', (at) => checkOutputFolder('--out', at), 'plain/a/b', 'plain is no folder'],
  ['segment', (at) => checkOutputFolder('--out', at), 'cup.png', 'looks like a file'],
  ['JSON', (at) => checkOutputFile('--out', at), 'run.v2', 'is a folder, where a file is needed'],
  ['JSON', (at) => checkOutputFile('--out', at), 'new/', 'is a folder, where a file is needed'],
  ['JSON', (at) => checkOutputFile('--out', at), 'pipe.json', 'is no plain file'],
])('%s cannot write %s', (_what, check, name, why) => {
  const error = errorOf(() => check(`${folder}/${name}`))
  expect(error).toMatchObject({ name: 'Sam3InputError', code: 'ERR_INVALID_ARGUMENT' })
  expect(error!.message).toContain(`--out ${folder}/${name} `)
  expect(error!.message).toContain(why)
})

it('a folder that may not be written to is told, also far above what is to be made', () => {
  closed.folder = folder
  for (const check of [
    () => checkVideoOrFolder(file('new.mp4')),
    () => checkOutputFolder('--out', file('new/a/b')),
    () => checkOutputFile('--json', file('new/a.json')),
  ])
    expect(errorOf(check)!.message).toContain(`the folder ${folder} does not allow it (EACCES)`)
  expect(errorOf(() => checkOutputFile('--json', file('run.v2/a.json')))).toBeUndefined()
})

it('failures are told once, and only faults of ours are to be reported', () => {
  const system = errorOf(() => mkdirSync(file('plain'))) as unknown as NodeJS.ErrnoException
  expect(describeError(system)).toMatch(/^EEXIST: file already exists/)
  const input = new Sam3InputError('ERR_INVALID_BOX', 'The box is empty.', { fix: 'Make it larger.' })
  expect(describeFailure(input)).toBe('ERR_INVALID_BOX: The box is empty. Make it larger.')
  const model = new Sam3ModelError('ERR_MODEL_NOT_FOUND', 'None.')
  for (const error of [system, input, model, 'a text']) expect(describeFailure(error)).not.toMatch(/report| {4}at /)
  const fault = new TypeError('x is not a function')
  expect(describeFailure(fault)).toMatch(/report it .*TypeError: x is not a function\n {4}at /s)
  const internal = new Sam3RuntimeError('ERR_INTERNAL', 'Odd.', { cause: fault, fix: 'Please report it.' })
  expect(describeFailure(internal)).toMatch(/^ERR_INTERNAL: Odd\. Please report it\.\nTypeError.*\n {4}at /s)

  const argument = new Sam3InputError('ERR_INVALID_ARGUMENT', 'No.')
  const question = new Sam3InputError('ERR_EMPTY_PROMPT', 'No.')
  expect([argument, question, input, model, system, fault].map(exitCodeOf)).toEqual([2, 2, 1, 1, 1, 1])
})
