/** The package as it is published: both module systems have the same names, and both run. */
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import * as source from '../../lib/index.js'
import { goldenModels, repositoryRoot } from '../support/paths.js'

const require = createRequire(import.meta.url)

describe('the built package', () => {
  it('exports the same names as ES module and as CommonJS', async () => {
    const names = Object.keys(source).sort()
    expect(Object.keys(await import(`${repositoryRoot}/dist/index.js`)).sort()).toEqual(names)
    expect(Object.keys(require(`${repositoryRoot}/dist/index.cjs`)).sort()).toEqual(names)
  })

  it('runs from CommonJS', async () => {
    const program = `
      const { buildSam3ImageModel, overlay } = require(${JSON.stringify(`${repositoryRoot}/dist/index.cjs`)})
      buildSam3ImageModel({ model: ${JSON.stringify(goldenModels.safetensors)}, device: 'cpu' }).then(async (model) => {
        const image = { width: 90, height: 60, channels: 3, data: new Uint8Array(90 * 60 * 3) }
        const { instances, width } = await model.segment(image, { text: 'cat', threshold: 0, maxInstances: 2 })
        console.log(width, instances.length, (await overlay(image, instances)).length > 1000)
        await model.dispose()
      })`
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['-e', program])
    expect({ stdout, stderr }).toEqual({ stdout: '90 2 true\n', stderr: '' })
  })
})
