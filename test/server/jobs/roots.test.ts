/** Paths of jobs: what leads out of the folders is refused, by whatever way it leads there. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Roots } from '../../../server/jobs/files/roots.js'

const top = realpathSync(mkdtempSync(path.join(tmpdir(), 'sam3-roots-')))
const at = (name: string) => path.join(top, name)
mkdirSync(at('data/in'), { recursive: true })
mkdirSync(at('data-secret'))
mkdirSync(at('shared'))
writeFileSync(at('data/in/a.jpg'), 'a')
writeFileSync(at('data-secret/s.jpg'), 's')
writeFileSync(at('shared/b.jpg'), 'b')
symlinkSync(at('data-secret'), at('data/way-out'))
symlinkSync(at('data-secret/s.jpg'), at('data/in/s.jpg'))
symlinkSync('../../shared/b.jpg', at('data/in/b.jpg'))
symlinkSync(at('data-secret/new.json'), at('data/dangling.json'))
symlinkSync(at('data'), at('link-to-data'))
afterAll(() => rmSync(top, { recursive: true, force: true }))

const roots = new Roots([at('link-to-data'), at('shared')])
const refusedAs = (code: string) => expect.objectContaining({ code })

describe('inputs', () => {
  it.each([
    ['in/a.jpg', 'data/in/a.jpg'],
    ['in/../in/a.jpg', 'data/in/a.jpg'],
    [at('data/in/a.jpg'), 'data/in/a.jpg'],
    [at('link-to-data/in/a.jpg'), 'data/in/a.jpg'],
    [at('shared/b.jpg'), 'shared/b.jpg'],
    ['in/b.jpg', 'shared/b.jpg'],
    ['.', 'data'],
  ])('%s is read', async (name, real) => {
    expect(await roots.input(name)).toBe(at(real))
  })

  it.each([
    '../data-secret/s.jpg',
    at('data-secret/s.jpg'),
    'way-out/s.jpg',
    'in/s.jpg',
    '/etc/passwd',
    'in/../../data-secret/s.jpg',
    '..',
    'a\0.jpg',
  ])('%s is refused', async (name) => {
    await expect(roots.input(name)).rejects.toEqual(refusedAs('ERR_PATH_REFUSED'))
  })

  it('says the same of what is outside, whether it is there or not', async () => {
    const there = await roots.input('/etc/passwd').catch(String)
    const missing = await roots.input('/etc/nothing').catch(String)
    expect(String(missing)).toBe(String(there).replace('passwd', 'nothing'))
  })

  it('says what is missing inside', async () => {
    await expect(roots.input('in/none.jpg')).rejects.toEqual(refusedAs('ERR_IMAGE_NOT_FOUND'))
  })
})

describe('outputs', () => {
  it.each([
    ['out.json', 'data/out.json'],
    ['new/folders/out.json', 'data/new/folders/out.json'],
    ['in/b.jpg', 'shared/b.jpg'],
  ])('%s is written', async (name, real) => {
    expect(await roots.output(name)).toBe(at(real))
  })

  it.each(['../out.json', 'way-out/out.json', 'way-out/new/out.json', 'in/s.jpg', '/out.json', 'new/', 'in/a.jpg/x'])(
    '%s is refused',
    async (name) => {
      await expect(roots.output(name)).rejects.toEqual(refusedAs('ERR_PATH_REFUSED'))
    },
  )

  it('is not led out by a link to nothing', async () => {
    // The link itself would be replaced, not followed.
    expect(await roots.output('dangling.json')).toBe(at('data/dangling.json'))
  })
})

it('hides where the folders are', () => {
  expect(roots.hide(`${at('data')}/in/a.jpg and ${at('shared')}`)).toBe('in/a.jpg and .')
})

it('needs folders', async () => {
  await expect(new Roots([]).input('a.jpg')).rejects.toEqual(refusedAs('ERR_PATH_REFUSED'))
  expect(() => new Roots([at('nowhere')])).toThrow('ENOENT')
})
