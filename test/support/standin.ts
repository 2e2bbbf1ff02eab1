/**
 * Set-up of the tests that run on the stand-in for a GPU (`test/native/standin`): in its engine, where they ask for
 * `'cuda'` they get the stand-in, under that name. All else of lib/, of binding/ and of native/ is as on a GPU.
 */
import { loadEngine } from '../../lib/native/loader.js'

const engine = await loadEngine()
const load = engine.load
engine.load = async (options, onProgress) => {
  const model = await load({ ...options, device: options.device.replace(/^cuda(:0)?$/, 'standin') }, onProgress)
  const info = { ...model.info, device: model.info.device.replace('standin', 'cuda') }
  return Object.defineProperty(model, 'info', { value: info })
}
