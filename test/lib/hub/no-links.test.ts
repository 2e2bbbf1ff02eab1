/** File systems without symbolic links, such as Windows without the right to make them: files are copied. */
import { lstatSync, readFileSync } from 'node:fs'
import { expect, it, vi } from 'vitest'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import { REPO, sandbox } from '../../support/hub-server/sandbox.js'

// Which file system refuses links cannot be chosen here; that Node says so is what can.
vi.mock('node:fs/promises', async (original) => ({
  ...(await original<typeof import('node:fs/promises')>()),
  symlink: async () => {
    throw Object.assign(new Error('operation not permitted'), { code: 'EPERM' })
  },
}))

const box = sandbox()
const { server } = box

it('copies, and finds the copies again', async () => {
  box.fresh()
  const folder = await resolveRepository(REPO, {}, box.env())
  const file = server.repositories.get(REPO)!.commits.values().next().value!.get('model.safetensors')!
  expect(lstatSync(`${folder}/model.safetensors`).isFile()).toBe(true)
  expect(readFileSync(`${folder}/model.safetensors`).equals(file.content)).toBe(true)
  server.requests.length = 0
  expect(await resolveRepository(REPO, { offline: true }, box.env())).toBe(folder)
  expect(server.requests).toEqual([])
})
