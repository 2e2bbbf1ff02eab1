/** The whole way: `buildSam3ImageModel()` on a machine that has nothing yet. */
import { copyFileSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { buildSam3ImageModel, type PullProgress } from '../../../lib/index.js'
import { hubServerOf } from '../../support/hub-server/golden.js'
import { REPO, sandbox } from '../../support/hub-server/sandbox.js'
import { noiseImage, rejection } from '../../support/model.js'
import { goldenModels } from '../../support/paths.js'

const box = sandbox()
const { server } = box

describe('buildSam3ImageModel', () => {
  it('downloads a model by its name once, and finds it again', async () => {
    box.fresh(1, true)
    hubServerOf(server, REPO, goldenModels.safetensors)
    const saved = { ...process.env }
    Object.assign(process.env, box.env({ HF_TOKEN: '' }))
    delete process.env.HF_HOME
    try {
      const refused = await rejection(buildSam3ImageModel({ model: REPO, device: 'cpu' }))
      expect(refused).toMatchObject({ code: 'ERR_MODEL_ACCESS', reason: 'token-missing' })
      const [token] = server.tokens.keys()
      const events: PullProgress[] = []
      const onProgress = (event: PullProgress) => void events.push(event)
      // Programs are not downloaded: a network comes with the package. That of the small golden model does not, and
      // has to be put beside it.
      const other = await rejection(buildSam3ImageModel({ device: 'cpu', accessToken: token, onProgress }))
      expect(other.code).toBe('ERR_MODEL_FORMAT')
      const commit = readFileSync(`${box.repoFolder}/refs/main`, 'utf8')
      for (const name of ['program.pt', 'names.json']) {
        copyFileSync(`${goldenModels.safetensors}/${name}`, `${box.repoFolder}/snapshots/${commit}/${name}`)
      }
      const requests = server.requests.length
      const model = await buildSam3ImageModel({ device: 'cpu', onProgress })
      const { width } = await model.segment(noiseImage(80, 60), { text: 'cat', threshold: 0 })
      expect(width).toBe(80)
      await model.dispose()
      expect(server.requests).toHaveLength(requests)
      expect(events.at(-1)).toMatchObject({ state: 'done' })
      expect(server.contentRequests().filter(({ host }) => host === 'cdn')).toHaveLength(1)
    } finally {
      for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name]
      Object.assign(process.env, saved)
    }
  })

  it.each<[string, object]>([
    ['an empty token', { accessToken: '' }],
    ['a token that is no text', { accessToken: 5 }],
    ['a folder that is no text', { cacheDir: {} }],
    ['a revision that leads elsewhere', { revision: '../../x' }],
    ['offline that is no boolean', { offline: 'yes' }],
    ['progress to nobody', { onProgress: 'console' }],
  ])('refuses %s', async (_name, options) => {
    expect((await rejection(buildSam3ImageModel(options as never))).code).toBe('ERR_INVALID_ARGUMENT')
  })
})
