/** The commands of docs/serve.md run against a service in their order; what the pages say of options and codes is so. */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { afterAll, describe, expect, it } from 'vitest'
import { flagName, OPTIONS } from '../../server/config/schema.js'
import { ffmpeg } from '../support/clips.js'
import { clip, scene } from '../support/demo.js'
import { repositoryRoot } from '../support/paths.js'
import { without } from '../support/without.js'
import { demoService } from './support.js'

const page = (name: string) => readFileSync(path.join(repositoryRoot, 'docs', name), 'utf8')
const folder = mkdtempSync(path.join(tmpdir(), 'sam3-serve-docs-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
copyFileSync(scene.file, path.join(folder, 'photo.jpg'))
const leftOut = without('curl') || without('ffmpeg')
if (!leftOut) ffmpeg('-i', `${clip.folder}/%02d.jpg`, '-frames:v', '6', path.join(folder, 'clip.mp4'))

it.skipIf(leftOut)('the commands of docs/serve.md are answered', async () => {
  const { server } = await demoService()
  const address = await server.app.listen({ port: 0, host: '127.0.0.1' })
  const commands = [...page('serve.md').matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, code]) =>
    code!.trim().split('\n'),
  )
  expect(commands.length).toBeGreaterThan(5)
  for (const command of commands) {
    // A status that is a failure is one of the command.
    const line = command
      .replaceAll('http://127.0.0.1:8080', address)
      .replaceAll('curl ', 'curl --fail --silent --show-error ')
    await promisify(execFile)('bash', ['-eo', 'pipefail', '-c', line], { cwd: folder })
  }
  expect((await sharp(path.join(folder, 'found.png')).metadata()).format).toBe('png')
  await server.close()
})

describe.each(['serve.md', 'security.md'])('docs/%s', (name) => {
  it('names options and metrics that are there', async () => {
    const { server } = await demoService()
    const metrics = (await server.app.inject({ url: '/metrics' })).body
    const flags = new Set(OPTIONS.map((option) => flagName(option.name)))
    for (const [, series] of page(name).matchAll(/`(sam3_[a-z_]+)`/g)) expect(metrics).toContain(`# TYPE ${series} `)
    const named = [...page(name).matchAll(/`(?:--)?([a-z]+(?:-[a-z]+)+)(?: \d+)?`/g)].map(([, flag]) => flag!)
    expect(named.length).toBeGreaterThan(3)
    expect(named.filter((flag) => !flags.has(flag) && flag !== 'print-config')).toEqual([])
    await server.close()
  })
})
