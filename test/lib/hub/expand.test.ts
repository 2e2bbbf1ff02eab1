// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of a shell are meant
/** Variables that hold paths are read as Python's huggingface_hub reads them: it is asked, with the same environment. */
import { userInfo } from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { findCacheFolder, huggingFaceCache } from '../../../lib/hub/cache-folder.js'
import { isOffline } from '../../../lib/hub/environment.js'
import { expandUser, expandVariables } from '../../../lib/base/expand.js'
import { tokenFile } from '../../../lib/hub/token.js'
import { storeFolder } from '../../../lib/libtorch/store.js'
import { pythonWith, runPython } from '../../support/python.js'

type Variables = Record<string, string>

const ASK = `
import json, os, runpy, sys
import huggingface_hub.constants
answers = []
for variables in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(variables)
    said = runpy.run_path(huggingface_hub.constants.__file__)
    answers.append([said["HF_HUB_CACHE"], said["HF_TOKEN_PATH"], said["HF_HUB_OFFLINE"]])
print(json.dumps(answers))`

const base = { HOME: '/home/me', X: '/data', EMPTY: '', NESTED: '$X', TILDE: '~/in-a-variable' }
const me = userInfo().username
const CASES: Variables[] = [
  {},
  { HF_HUB_CACHE: '$X/hub' },
  { HF_HUB_CACHE: '${X}/hub' },
  { HF_HUB_CACHE: '/a$X/b${X}c$X' },
  { HF_HUB_CACHE: '$UNKNOWN/hub' },
  { HF_HUB_CACHE: '${UNKNOWN}/hub' },
  { HF_HUB_CACHE: '${}/$/$$X/${X/hub' },
  { HF_HUB_CACHE: '$EMPTY/hub' },
  { HF_HUB_CACHE: '$NESTED/hub' },
  { HF_HUB_CACHE: '$Xhub/${X}hub/$X-hub/$X.hub' },
  { HF_HUB_CACHE: '/x/$ÄX' },
  { HF_HUB_CACHE: '%X%/hub' },
  { HF_HUB_CACHE: '~' },
  { HF_HUB_CACHE: '~/hub' },
  { HF_HUB_CACHE: `~${me}/hub` },
  { HF_HUB_CACHE: '~root/hub' },
  { HF_HUB_CACHE: '~nobody-of-that-name/hub' },
  { HF_HUB_CACHE: '/a/~/hub' },
  { HF_HUB_CACHE: '~/$X/hub' },
  { HF_HUB_CACHE: '$TILDE/hub' },
  { HF_HUB_CACHE: 'relative/hub' },
  { HUGGINGFACE_HUB_CACHE: '$X/old' },
  { HF_HUB_CACHE: '$X/new', HUGGINGFACE_HUB_CACHE: '$X/old', HF_HOME: '$X/home' },
  { HF_HOME: '$X/home' },
  { HF_HOME: '~/home', HF_TOKEN_PATH: '${X}/token' },
  { HF_HOME: '$NESTED/home' },
  { HF_HOME: '$TILDE/home' },
  { HF_HOME: '$HOME/home', HUGGINGFACE_HUB_CACHE: '~/old' },
  { XDG_CACHE_HOME: '$X/cache' },
  { XDG_CACHE_HOME: '~/cache', HF_TOKEN_PATH: '~/token' },
  { HOME: '/home/slash/' },
  { HOME: '/', HF_HUB_CACHE: '~/hub' },
  ...['1', 'true', 'True', 'YES', 'on', '0', 'false', 'no', '', ' 1', '2', 'y'].map((value) => ({
    HF_HUB_OFFLINE: value,
  })),
  { TRANSFORMERS_OFFLINE: '1' },
  { HF_HUB_OFFLINE: '0', TRANSFORMERS_OFFLINE: '1' },
  { HF_HUB_OFFLINE: '', TRANSFORMERS_OFFLINE: 'on' },
]

describe('variables of Hugging Face', () => {
  const python = pythonWith('huggingface_hub')
  if (!python) throw new Error('No Python with huggingface_hub: run npm run setup.')
  const environments = CASES.map((variables): Variables => ({ ...base, ...variables }))
  const answers = runPython(python, ['-c', ASK], environments) as [string, string, boolean][]

  it.each(environments.map((env, index) => [JSON.stringify(CASES[index]), env, answers[index]!] as const))(
    'mean the same: %s',
    (_name, env, [cache, token, offline]) => {
      expect(huggingFaceCache(env)).toBe(path.resolve(cache))
      expect(path.resolve(tokenFile(env))).toBe(path.resolve(token))
      expect(isOffline(env)).toBe(offline)
    },
  )

  it('decide on the folder of the cache where they are set', () => {
    const env = { ...base, HF_HOME: '$X/home' }
    expect(findCacheFolder(undefined, env)).toEqual({ path: '/data/home/hub', source: 'HF_HOME', chosen: true })
    expect(findCacheFolder(undefined, { ...env, HUGGINGFACE_HUB_CACHE: '${X}/old' })).toMatchObject({
      path: '/data/old',
      source: 'HUGGINGFACE_HUB_CACHE',
    })
  })

  it('that are empty count as not set', () => {
    const empty = { HOME: '/home/me', HF_HUB_CACHE: '', HF_HOME: '', XDG_CACHE_HOME: '', HF_TOKEN_PATH: '' }
    expect(huggingFaceCache(empty)).toBe('/home/me/.cache/huggingface/hub')
    expect(tokenFile(empty)).toBe('/home/me/.cache/huggingface/token')
    expect(findCacheFolder(undefined, empty).chosen).toBe(false)
  })
})

describe('our own variables', () => {
  it('follow the same rules, and the option is a path of code, in which only ~ stands for something', () => {
    expect(findCacheFolder(undefined, { ...base, SAM3_CACHE_DIR: '~/${X}/m' }).path).toBe('/home/me/data/m')
    expect(findCacheFolder('~/$X/m', base).path).toBe('/home/me/$X/m')
    expect(storeFolder({ ...base, SAM3_LIBTORCH_DIR: '$X/torch' })).toBe('/data/torch')
    expect(storeFolder({ ...base, XDG_CACHE_HOME: '$X/cache' })).toBe('/data/cache/sam3-node/libtorch')
  })

  it('expand nothing twice, and leave what is not set', () => {
    expect(expandVariables('$A', { A: '$B', B: 'b' })).toBe('$B')
    expect(expandVariables('${B}$C', { B: 'b' })).toBe('b$C')
    expect(expandUser('~', { HOME: '/' })).toBe('/')
  })
})
