/** The commands of docs/deploy.md run in their order; what the page says of options and codes is so. */
import { execFile } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, it } from 'vitest'
import { ERROR_CODES } from '../../../lib/base/errors.js'
import { flagName, OPTIONS } from '../../../server/config/schema.js'
import { clip, scene } from '../../support/demo.js'
import { repositoryRoot } from '../../support/paths.js'
import { without } from '../../support/without.js'
import { demoService } from '../support.js'
import { Workplace } from './workplace.js'

const page = readFileSync(path.join(repositoryRoot, 'docs/deploy.md'), 'utf8')
const place = new Workplace()
afterAll(() => place.remove())

it.skipIf(without('curl'))('its commands are answered', async () => {
  mkdirSync(place.at('photos'))
  copyFileSync(scene.file, place.at('photo.jpg'))
  copyFileSync(scene.file, place.at('photos/a.jpg'))
  cpSync(clip.folder, place.at('clip'), { recursive: true })
  // As the first command starts it: what waits for it in the others is in this process.
  expect(page).toContain('```sh\nnpx sam3-node serve --model demo --job-roots .\n```')
  const { server } = await demoService({ jobRoots: [place.folder], port: 0 })
  const address = await server.listen()
  const commands = [...page.matchAll(/^curl .*$/gm)].map(([line]) => line)
  expect(commands).toHaveLength(5)
  const said: string[] = []
  for (const command of commands) {
    const line = command
      .replaceAll('http://127.0.0.1:8080', address)
      .replace('curl ', 'curl --fail --silent --show-error ')
    said.push((await promisify(execFile)('bash', ['-c', line], { cwd: place.folder })).stdout)
  }
  expect(said[1]).toContain('"state":"completed"')
  expect(JSON.parse(said[2]!)).toMatchObject({ id: 'first', state: 'completed', result: { images: 2, failed: 0 } })
  expect(place.coco('found.json').images).toHaveLength(2)
  await server.close()
})

it('names options, codes and files that are there', () => {
  const flags = new Set(OPTIONS.map((option) => flagName(option.name)))
  const named = [...page.matchAll(/`(?:--)?([a-z]+(?:-[a-z]+)+)(?: \d+)?`/g)].map(([, flag]) => flag!)
  expect(named.length).toBeGreaterThan(8)
  expect(named.filter((flag) => !flags.has(flag))).toEqual([])
  const codes: readonly string[] = ERROR_CODES
  for (const [, code] of page.matchAll(/`(ERR_\w+)`/g)) expect(codes).toContain(code)
})
