/** The command line with the demo model: what it prints is true of the pictures. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { type CocoRle, Mask } from '../../lib/index.js'
import { clip, matchMasks, scene } from '../support/demo.js'
import { repositoryRoot } from '../support/paths.js'

const folder = mkdtempSync(path.join(tmpdir(), 'sam3-demo-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function sam3(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const command = [`${repositoryRoot}/dist/cli.js`, ...args, '--model', 'demo', '--device', 'cpu']
    execFile(process.execPath, command, { cwd: folder }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}

it('segment finds each dog and each cup, no penguin, and says that it does not know a horse', async () => {
  const texts = ['dog', 'cup', 'penguin', 'horse'].flatMap((text) => ['--text', text])
  const { code, stdout, stderr } = await sam3('segment', scene.file, ...texts, '--json')
  expect(code).toBe(0)
  const [image] = JSON.parse(stdout).images as [{ instances: { label: string; rle: CocoRle }[]; warnings: string[] }]
  for (const text of ['dog', 'cup']) {
    const found = image.instances.filter(({ label }) => label === text).map(({ rle }) => Mask.fromRle(rle))
    const real = scene.objects.filter(({ shows }) => shows === text).map(({ mask }) => mask)
    const indices = matchMasks(found, real).map((match) => match?.index)
    expect(indices.toSorted()).toEqual([0, 1])
  }
  expect(new Set(image.instances.map(({ label }) => label))).toEqual(new Set(['dog', 'cup']))
  expect(image.warnings).toEqual([expect.stringContaining("does not know 'horse'")])
  expect(stderr).toContain("does not know 'horse'")
})

it('track follows the dog from the first frame to the last', async () => {
  const { code } = await sam3('track', clip.folder, '--text', 'dog', '--json', 'tracks.json', '--out', 'tracked')
  expect(code).toBe(0)
  const { videos, annotations } = JSON.parse(readFileSync(path.join(folder, 'tracks.json'), 'utf8'))
  expect(videos[0].length).toBe(clip.objects[0]!.masks.length)
  expect(annotations).toHaveLength(1)
  for (const { segmentations } of annotations as { segmentations: (CocoRle | null)[] }[]) {
    expect(segmentations[0]).not.toBeNull()
    expect(segmentations.at(-1)).not.toBeNull()
  }
})
