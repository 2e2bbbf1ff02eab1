/** Where ffmpeg and ffprobe are looked for, and what is said where they are not. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { checkFfmpeg } from '../../../lib/cli/doctor/ffmpeg.js'
import { findProgram } from '../../../lib/video/ffmpeg/find.js'
import { keepTimes } from '../../../lib/video/ffmpeg/version.js'
import { VideoWriter } from '../../../lib/video/encode/video-writer.js'
import { openSource } from '../../../lib/video/source/open.js'
import { makeClip } from '../../support/clips.js'
import { rejection } from '../../support/model.js'
import { repositoryRoot } from '../../support/paths.js'

const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'sam3-programs-')))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (...names: string[]) => path.join(folder, ...names)
const installed = (name: string) =>
  execFileSync('/bin/sh', ['-c', `command -v ${name}`])
    .toString()
    .trim()
const real = { ffmpeg: installed('ffmpeg'), ffprobe: installed('ffprobe') }

/** A file in a folder that may not be there yet. */
function put(name: string, content: string, mode = 0o644): string {
  mkdirSync(path.dirname(file(name)), { recursive: true })
  writeFileSync(file(name), content)
  chmodSync(file(name), mode)
  return file(name)
}
/** The real program under another name. */
function link(program: 'ffmpeg' | 'ffprobe', name: string): string {
  mkdirSync(path.dirname(file(name)), { recursive: true })
  symlinkSync(real[program], file(name))
  return file(name)
}
/** A stand-in for a package of npm in a project. */
function install(project: string, name: string, source: string): void {
  put(`${project}/node_modules/${name}/package.json`, JSON.stringify({ name, version: '1.0.0', main: 'index.js' }))
  put(`${project}/node_modules/${name}/index.js`, source)
}

const script = process.argv[1]!
beforeAll(() => {
  makeClip(file('clip.mp4'), { frames: 3 })
})
beforeEach(() => {
  // A machine without ffmpeg.
  vi.stubEnv('PATH', file('empty'))
  vi.stubEnv('FFMPEG_PATH', '')
  vi.stubEnv('FFPROBE_PATH', '')
})
afterEach(() => {
  vi.unstubAllEnvs()
  process.argv[1] = script
})
/** The project of the program that runs. */
const runIn = (project: string) => {
  process.argv[1] = file(project, 'main.js')
}
async function frames(options = {}): Promise<number | undefined> {
  const source = await openSource(file('clip.mp4'), options)
  const { frameCount } = source
  await source.close()
  return frameCount
}

describe('the programs', () => {
  it('may be in different places: both named, or one named and the other on the PATH', async () => {
    const ffmpeg = put('apart/a/ffmpeg', `#!/bin/sh\nexec ${real.ffmpeg} "$@"\n`, 0o755)
    const ffprobe = put('apart/b/ffprobe', `#!/bin/sh\nexec ${real.ffprobe} "$@"\n`, 0o755)
    expect(await frames({ ffmpeg, ffprobe })).toBe(3)
    const error = await rejection(openSource(file('clip.mp4'), { ffmpeg }))
    expect(error).toMatchObject({ name: 'Sam3EnvironmentError', code: 'ERR_FFMPEG_NOT_FOUND' })
    for (const tried of [
      'no ffprobe',
      'FFPROBE_PATH (not set)',
      file('apart/a/ffprobe'),
      'ffprobe-static',
      'on the PATH',
    ])
      expect(error.message).toContain(tried)
    vi.stubEnv('PATH', file('apart/b'))
    expect(await frames({ ffmpeg })).toBe(3)
    expect(findProgram('ffprobe', { ffmpeg })).toEqual({ path: ffprobe, from: 'the PATH' })
    const writer = await VideoWriter.open(file('written.mp4'), { width: 8, height: 8, ffmpeg })
    await writer.abort()
  })

  it('are named by the environment, behind the options', () => {
    vi.stubEnv('FFMPEG_PATH', link('ffmpeg', 'env/ff'))
    vi.stubEnv('FFPROBE_PATH', link('ffprobe', 'env/probe'))
    expect(findProgram('ffmpeg', {})).toEqual({ path: file('env/ff'), from: 'FFMPEG_PATH' })
    expect(findProgram('ffprobe', {})).toEqual({ path: file('env/probe'), from: 'FFPROBE_PATH' })
    const ffprobe = link('ffprobe', 'env/other')
    expect(findProgram('ffprobe', { ffprobe })).toEqual({ path: ffprobe, from: 'the option ffprobe' })
  })

  it('are beside each other, under like names, also behind a link', () => {
    link('ffmpeg', 'beside/ffmpeg-7')
    link('ffprobe', 'beside/ffprobe-7')
    const ffmpeg = file('beside/ffmpeg-7')
    expect(findProgram('ffprobe', { ffmpeg })).toEqual({ path: file('beside/ffprobe-7'), from: 'beside ffmpeg' })
    // A link to the folder of both.
    expect(findProgram('ffprobe', { ffmpeg: link('ffmpeg', 'linked/ffmpeg') }).path).toBe(
      path.join(path.dirname(realpathSync(real.ffmpeg)), 'ffprobe'),
    )
    vi.stubEnv('PATH', `:${file('none')}:${file('beside')}`)
    expect(findProgram('ffmpeg', { ffmpeg: 'ffmpeg-7' })).toEqual({
      path: ffmpeg,
      from: 'the option ffmpeg and the PATH',
    })
  })

  it.each<[string, Record<string, string>]>([
    [
      'ffmpeg-static and ffprobe-static',
      {
        'ffmpeg-static': `module.exports = ${JSON.stringify(file('bin/ffmpeg-of-npm'))}`,
        'ffprobe-static': `exports.path = ${JSON.stringify(file('bin/probe-of-npm'))}`,
      },
    ],
    [
      '@ffmpeg-installer and @ffprobe-installer',
      {
        '@ffmpeg-installer/ffmpeg': `module.exports = { path: ${JSON.stringify(file('bin/ffmpeg-of-npm'))}, version: '4.1' }`,
        '@ffprobe-installer/ffprobe': `module.exports = { path: ${JSON.stringify(file('bin/probe-of-npm'))} }`,
      },
    ],
    [
      'ffmpeg-ffprobe-static',
      {
        'ffmpeg-ffprobe-static': `exports.ffmpegPath = ${JSON.stringify(file('bin/ffmpeg-of-npm'))}; exports.ffprobePath = ${JSON.stringify(file('bin/probe-of-npm'))}`,
      },
    ],
  ])('come with packages of npm: %s', async (name, packages) => {
    // Copies of a script, for a link would lead to an ffprobe beside the real one.
    put('bin/ffmpeg-of-npm', `#!/bin/sh\nexec ${real.ffmpeg} "$@"\n`, 0o755)
    put('bin/probe-of-npm', `#!/bin/sh\nexec ${real.ffprobe} "$@"\n`, 0o755)
    const project = `project of ${name.replaceAll('/', '-')}`
    for (const [one, source] of Object.entries(packages)) install(project, one, source)
    runIn(project)
    expect(await frames()).toBe(3)
    expect(findProgram('ffmpeg', {})).toMatchObject({
      path: file('bin/ffmpeg-of-npm'),
      from: expect.stringContaining('the package '),
    })
    expect(findProgram('ffprobe', {}).path).toBe(file('bin/probe-of-npm'))
    // Installed on purpose: before whatever the system has.
    vi.stubEnv('PATH', path.dirname(real.ffmpeg))
    expect(findProgram('ffmpeg', {}).path).toBe(file('bin/ffmpeg-of-npm'))
  })

  it('packages that were installed without their program are passed over, and named', async () => {
    install(
      'bare',
      'ffmpeg-static',
      `module.exports = ${JSON.stringify(file('bare/node_modules/ffmpeg-static/ffmpeg'))}`,
    )
    install('bare', '@ffmpeg-installer/ffmpeg', "throw new Error('Unsupported platform/architecture: linux-arm')")
    install('bare', 'ffmpeg-ffprobe-static', 'module.exports = { ffmpegPath: null }')
    runIn('bare')
    const { message } = await rejection(openSource(file('clip.mp4')))
    expect(message).toContain(
      `the package ffmpeg-static (its ${file('bare/node_modules/ffmpeg-static/ffmpeg')} is not there)`,
    )
    expect(message).toContain('cannot be loaded: Unsupported platform/architecture: linux-arm')
    expect(message).toContain('ffmpeg-ffprobe-static (has no program for this system)')
    vi.stubEnv('PATH', path.dirname(real.ffmpeg))
    expect(await frames()).toBe(3)
  })

  it('a project with ffmpeg alone is told what else to install', async () => {
    put('alone/node_modules/ffmpeg-static/ffmpeg', `#!/bin/sh\nexec ${real.ffmpeg} "$@"\n`, 0o755)
    install('alone', 'ffmpeg-static', "module.exports = require('path').join(__dirname, 'ffmpeg')")
    runIn('alone')
    const error = await rejection(openSource(file('clip.mp4')))
    expect(error).toMatchObject({
      code: 'ERR_FFMPEG_NOT_FOUND',
      fix: expect.stringContaining('npm install ffmpeg-static ffprobe-static'),
    })
    expect(error.message).toContain('There is no ffprobe')
    // Writing needs no ffprobe.
    await (await VideoWriter.open(file('alone.mp4'), { width: 8, height: 8 })).abort()
  })

  it('named ones that cannot be used are an error, not a reason to take others', async () => {
    vi.stubEnv('PATH', path.dirname(real.ffmpeg))
    mkdirSync(file('a-folder'), { recursive: true })
    put('plain-text', 'no program')
    for (const [ffmpeg, why] of [
      [file('a-folder'), 'is a folder'],
      [file('plain-text'), 'is not executable'],
      [file('nowhere'), 'is not there'],
      ['ffmpeg-of-nobody', 'on the PATH'],
    ] as const) {
      const error = await rejection(openSource(file('clip.mp4'), { ffmpeg }))
      expect(error).toMatchObject({ code: 'ERR_FFMPEG_NOT_FOUND' })
      expect(error.message).toContain(why)
      expect(error.message).toContain(ffmpeg)
    }
    vi.stubEnv('FFPROBE_PATH', file('nowhere'))
    expect((await rejection(openSource(file('clip.mp4')))).message).toMatch(/FFPROBE_PATH names .*nowhere is not there/)
    for (const value of ['', 7])
      expect(await rejection(openSource(file('clip.mp4'), { ffprobe: value as string }))).toMatchObject({
        code: 'ERR_INVALID_ARGUMENT',
      })
  })

  it('that start but are something else, or do not start, are told apart from bad videos', async () => {
    // A header of a program for another processor; a script whose interpreter is missing.
    const foreign = file('foreign')
    copyFileSync(process.execPath, foreign)
    const head = Buffer.from('\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0', 'latin1')
    writeFileSync(foreign, Buffer.concat([head, Buffer.alloc(200)]))
    chmodSync(foreign, 0o755)
    const wrong = [
      foreign,
      put('dangling', '#!/no/such/interpreter\n', 0o755),
      put('stub', '#!/bin/sh\necho "command not found: install ffmpeg" >&2\nexit 127\n', 0o755),
      put('silent', '#!/bin/sh\nexit 0\n', 0o755),
    ]
    for (const program of wrong) {
      for (const options of [
        { ffmpeg: program, ffprobe: real.ffprobe },
        { ffmpeg: real.ffmpeg, ffprobe: program },
      ]) {
        const error = await rejection(openSource(file('clip.mp4'), options))
        expect(error).toMatchObject({ name: 'Sam3EnvironmentError', code: 'ERR_FFMPEG_NOT_FOUND' })
        expect(error.message).toContain(program)
        expect(error.message).toMatch(/is no working ff|cannot be started/)
      }
      expect(await rejection(VideoWriter.open(file('x.mp4'), { width: 8, height: 8, ffmpeg: program }))).toMatchObject({
        code: 'ERR_FFMPEG_NOT_FOUND',
      })
    }
  })

  it('that crash are told apart from bad videos too', async () => {
    const ffprobe = put('crashing', '#!/bin/sh\nkill -SEGV $$\n', 0o755)
    const error = await rejection(openSource(file('clip.mp4'), { ffmpeg: real.ffmpeg, ffprobe }))
    expect(error).toMatchObject({ name: 'Sam3RuntimeError', code: 'ERR_FFMPEG_FAILED' })
    expect(error.message).toMatch(/crashing was ended by SIGSEGV while reading .*clip\.mp4\. .*install another build/)
  })

  it('frames are passed on as each version does it', () => {
    const of = (version: string, library?: readonly [number, number]) => keepTimes({ version, library })[0]
    expect([of('4.4.1', [56, 70]), of('5.0', [57, 17]), of('N-47683-g0e8eb07980', [56, 24])]).toEqual(
      Array(3).fill('-vsync'),
    )
    expect([of('5.1.9', [57, 28]), of('7.1', [59, 39]), of('N-109542', undefined)]).toEqual(Array(3).fill('-fps_mode'))
  })
})

describe('doctor', () => {
  it('says which are used, and why', async () => {
    vi.stubEnv('FFMPEG_PATH', real.ffmpeg)
    const [ffmpeg, ffprobe] = await checkFfmpeg()
    expect(ffmpeg).toMatchObject({ state: 'ok', subject: 'ffmpeg' })
    expect(ffmpeg!.text).toContain(`${real.ffmpeg} (from FFMPEG_PATH)`)
    expect(ffprobe).toMatchObject({ state: 'ok', text: expect.stringContaining('(from beside ffmpeg)') })
  })

  it('none is a note with the fix, a wrong name is a problem', async () => {
    for (const finding of await checkFfmpeg())
      expect(finding).toMatchObject({ state: 'note', fix: expect.stringContaining('apt install ffmpeg') })
    vi.stubEnv('FFMPEG_PATH', file('nowhere'))
    expect((await checkFfmpeg())[0]).toMatchObject({ state: 'problem', text: expect.stringContaining('FFMPEG_PATH') })
  })
})

it('the built package finds what is installed beside the script that runs, and not what is where it was started', () => {
  put('whole/node_modules/ffmpeg-static/ffmpeg', `#!/bin/sh\nexec ${real.ffmpeg} "$@"\n`, 0o755)
  put('whole/node_modules/ffprobe-static/ffprobe', `#!/bin/sh\nexec ${real.ffprobe} "$@"\n`, 0o755)
  install('whole', 'ffmpeg-static', "module.exports = require('path').join(__dirname, 'ffmpeg')")
  install('whole', 'ffprobe-static', "exports.path = require('path').join(__dirname, 'ffprobe')")
  const code = (load: string) => `${load}
    openSource(${JSON.stringify(file('clip.mp4'))})
      .then(async (video) => { await video.close(); console.log(video.frameCount) }, (error) => console.log(error.code))`
  put('whole/main.mjs', code(`import { openSource } from ${JSON.stringify(`${repositoryRoot}/dist/index.js`)}`))
  put('whole/main.cjs', code(`const { openSource } = require(${JSON.stringify(`${repositoryRoot}/dist/index.cjs`)})`))
  put(
    'elsewhere/main.cjs',
    code(`const { openSource } = require(${JSON.stringify(`${repositoryRoot}/dist/index.cjs`)})`),
  )
  const run = (name: string, cwd: string) =>
    spawnSync(process.execPath, [file(name)], { cwd, env: { PATH: file('empty') } })
      .stdout.toString()
      .trim()
  expect(run('whole/main.mjs', folder)).toBe('3')
  expect(run('whole/main.cjs', folder)).toBe('3')
  expect(run('elsewhere/main.cjs', file('whole'))).toBe('ERR_FFMPEG_NOT_FOUND')
})
