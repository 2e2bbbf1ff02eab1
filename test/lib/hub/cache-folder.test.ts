/** Which folder is the cache, and what happens when it cannot be used. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { findCacheFolder, packageCache } from '../../../lib/hub/cache-folder.js'
import { absoluteFolder } from '../../../lib/base/folders.js'
import { freeSpace } from '../../../lib/download/disk-space.js'
import { resolveRepository } from '../../../lib/hub/resolve.js'
import {
  bundle,
  filesBelow,
  outcomeOf,
  REPO,
  runProgram,
  sandbox,
  startPull,
} from '../../support/hub-server/sandbox.js'
import { rejection } from '../../support/model.js'
import { repositoryRoot } from '../../support/paths.js'
import { without } from '../../support/without.js'

const box = sandbox()
const { server } = box

describe('the folder', () => {
  it('is chosen by option, SAM3_CACHE_DIR, HF_HUB_CACHE, HF_HOME, and else is models/ of the package', () => {
    const env = { SAM3_CACHE_DIR: '/b', HF_HUB_CACHE: '/c', HUGGINGFACE_HUB_CACHE: '/d', HF_HOME: '/e' }
    expect(findCacheFolder('/a', env)).toEqual({ path: '/a', source: 'the option cacheDir', chosen: true })
    expect(findCacheFolder(undefined, env)).toMatchObject({ path: '/b', source: 'SAM3_CACHE_DIR' })
    const { SAM3_CACHE_DIR: _b, ...three } = env
    expect(findCacheFolder(undefined, three)).toMatchObject({ path: '/c', source: 'HF_HUB_CACHE' })
    const { HF_HUB_CACHE: _c, ...two } = three
    expect(findCacheFolder(undefined, two)).toMatchObject({ path: '/d' })
    expect(findCacheFolder(undefined, { HF_HOME: '/e' })).toMatchObject({ path: '/e/hub', source: 'HF_HOME' })
    const byDefault = findCacheFolder(undefined, { XDG_CACHE_HOME: '/x' })
    expect(byDefault).toMatchObject({ path: path.join(repositoryRoot, 'models'), chosen: false })
    expect(packageCache()).toBe(byDefault.path)
  })

  it('is 3rdparty/sam3/models in a project that has a checkout there, made when it is missing', async () => {
    box.fresh()
    const project = path.join(box.root, 'project')
    const checkout = path.join(project, '3rdparty/sam3')
    mkdirSync(path.join(checkout, 'dist'), { recursive: true })
    for (const name of ['package.json', 'node_modules']) symlinkSync(`${repositoryRoot}/${name}`, `${checkout}/${name}`)
    copyFileSync(await bundle('lib/hub/resolve.ts'), `${checkout}/dist/resolve.mjs`)
    const code = `import { resolveRepository } from '${checkout}/dist/resolve.mjs'; console.log(await resolveRepository('${REPO}'))`
    const { SAM3_CACHE_DIR: _, ...env } = box.processEnv()
    const { stdout, stderr } = await runProgram(process.execPath, ['--input-type=module', '-e', code], env)
    expect(stdout.trim(), stderr).toMatch(
      new RegExp(`^${checkout}/models/models--facebook--sam3/snapshots/[0-9a-f]{40}$`),
    )
    expect(existsSync(`${stdout.trim()}/model.safetensors`)).toBe(true)
  })

  it('is resolved against the working directory when it is relative, and said so', () => {
    expect(findCacheFolder('models/sam', {})).toMatchObject({
      path: path.resolve('models/sam'),
      relative: 'models/sam',
    })
    expect(findCacheFolder('~/x', { HOME: '/home/me' })).toMatchObject({ path: '/home/me/x' })
  })

  it('may be written in the ways of Windows there, and is refused elsewhere', () => {
    for (const given of ['C:/models/sam', 'C:\\models\\sam', 'C:\\models/sam\\']) {
      expect(absoluteFolder(given, 'x', 'win32')).toEqual({ path: 'C:\\models\\sam' })
      expect(() => absoluteFolder(given, 'x', 'linux')).toThrow(/Windows path.*\/mnt\/c/)
    }
    expect(absoluteFolder('\\\\server\\share\\sam', 'x', 'win32')).toEqual({ path: '\\\\server\\share\\sam' })
    expect(absoluteFolder('models\\sam', 'x', 'win32', 'D:\\app')).toMatchObject({ path: 'D:\\app\\models\\sam' })
    // What is left of 'C:\models' and 'C:\new' when a program's text did not double the backslash.
    for (const eaten of ['C:models', 'C:\new']) {
      for (const platform of ['win32', 'linux'] as const) {
        expect(() => absoluteFolder(eaten, 'x', platform)).toThrow(/C:\/models/)
      }
    }
  })
})

describe('a snapshot that is there already', () => {
  it("is used in place in the user's own Hugging Face cache, also offline", async () => {
    box.fresh()
    const folder = await resolveRepository(REPO, {}, box.env())
    const own = path.join(path.dirname(box.cache), 'home/huggingface/hub')
    mkdirSync(path.dirname(own), { recursive: true })
    renameSync(box.cache, own)
    server.requests.length = 0
    expect(await resolveRepository(REPO, {}, box.env())).toBe(folder.replace(box.cache, own))
    expect(await resolveRepository(REPO, {}, box.env({ HF_HUB_OFFLINE: '1' }))).toBe(folder.replace(box.cache, own))
    expect(server.requests).toEqual([])
    expect(existsSync(box.cache)).toBe(false)
  })

  it('moves with its folder', async () => {
    box.fresh()
    const folder = await resolveRepository(REPO, {}, box.env())
    const moved = `${box.cache}-moved`
    cpSync(box.cache, moved, { recursive: true, verbatimSymlinks: true })
    rmSync(box.cache, { recursive: true })
    server.requests.length = 0
    const found = await resolveRepository(REPO, { cacheDir: moved }, box.env())
    expect(found).toBe(folder.replace(box.cache, moved))
    expect(server.requests).toEqual([])
  })
})

describe('offline', () => {
  it.each<[string, object, Record<string, string>]>([
    ['HF_HUB_OFFLINE', {}, { HF_HUB_OFFLINE: '1' }],
    ['the option offline', { offline: true }, {}],
  ])('by %s makes no request, and says what is missing and how to bring it', async (source, options, env) => {
    box.fresh()
    const nothing = await rejection(resolveRepository(REPO, options, box.env(env)))
    expect(nothing).toMatchObject({ code: 'ERR_OFFLINE' })
    for (const text of [
      source,
      'config.json',
      'model.safetensors',
      'sam3.pt',
      'sam3-node pull facebook/sam3',
      box.cache,
    ]) {
      expect(nothing.message).toContain(text)
    }
    expect(server.requests).toEqual([])
    expect(existsSync(box.cache)).toBe(false)
    const folder = await resolveRepository(REPO, {}, box.env())
    rmSync(`${folder}/config.json`)
    server.requests.length = 0
    const partly = await rejection(resolveRepository(REPO, options, box.env(env)))
    expect(partly.message).toContain('Missing: config.json.')
    expect(server.requests).toEqual([])
  })

  it('offline: false overrules HF_HUB_OFFLINE', async () => {
    box.fresh()
    expect(await resolveRepository(REPO, { offline: false }, box.env({ HF_HUB_OFFLINE: '1' }))).toContain('snapshots')
  })
})

/** Mounts a small file system, for which a test needs to be root: `npm test -- --without root` leaves those out. */
function mount(folder: string, size: string): void {
  mkdirSync(folder, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'pipe' })
}

describe('a folder that cannot be used', () => {
  const mounted: string[] = []
  afterEach(() => {
    for (const folder of mounted.splice(0)) execFileSync('umount', [folder])
  })

  it.skipIf(without('root'))('a disk with too little room: refused before the first byte', async () => {
    box.fresh(3_000_000)
    mount(box.cache, '2m')
    mounted.push(box.cache)
    const error = await rejection(resolveRepository(REPO, {}, box.env()))
    expect(error).toMatchObject({ code: 'ERR_DISK_FULL' })
    expect(error.message).toMatch(/room in .*cache: 3\.0 MB are needed, 2\.1 MB are free.*SAM3_CACHE_DIR/s)
    expect(server.contentRequests()).toEqual([])
  })

  it.skipIf(without('root'))(
    'a disk that fills up on the way: what came is kept, and it goes on when there is room',
    async () => {
      box.fresh(3_000_000)
      mount(box.cache, '5m')
      mounted.push(box.cache)
      server.faults = [({ host }) => (host === 'cdn' ? { trickle: { bytes: 100_000, pause: 5 } } : undefined)]
      const hog = path.join(box.cache, 'hog')
      const fill = () => {
        try {
          writeFileSync(hog, Buffer.alloc(3_000_000))
        } catch {
          // less than that was left, and is gone now
        }
      }
      const error = await rejection(
        resolveRepository(
          REPO,
          {
            onProgress: ({ file, bytes }) =>
              void (file === 'model.safetensors' && bytes > 500_000 && !existsSync(hog) && fill()),
          },
          box.env(),
        ),
      )
      expect(error).toMatchObject({ code: 'ERR_DISK_FULL', message: expect.stringContaining('free') })
      const partial = filesBelow(box.repoFolder).find((name) => name.endsWith('.incomplete'))!
      const kept = statSync(path.join(box.repoFolder, partial)).size
      expect(kept).toBeGreaterThan(500_000)
      rmSync(hog)
      server.requests.length = 0
      expect(await resolveRepository(REPO, {}, box.env())).toContain('snapshots')
      expect(server.requests.find(({ host }) => host === 'cdn')!.from).toBe(kept)
    },
  )

  it.skipIf(without('root'))(
    'a read-only mount: a complete model is used, and for the rest there is a clear error',
    async () => {
      box.fresh()
      mount(box.cache, '10m')
      mounted.push(box.cache)
      execFileSync('mount', ['-o', 'remount,ro', box.cache])
      const error = await rejection(resolveRepository(REPO, {}, box.env()))
      expect(error).toMatchObject({ code: 'ERR_CACHE_NOT_WRITABLE' })
      expect(error.message).toMatch(
        /cache \(SAM3_CACHE_DIR\) is not writable: it is on a read-only file system\..*without :ro/s,
      )
      expect(server.requests).toEqual([])
      execFileSync('mount', ['-o', 'remount,rw', box.cache])
      const folder = await resolveRepository(REPO, {}, box.env())
      execFileSync('mount', ['-o', 'remount,ro', box.cache])
      expect(await resolveRepository(REPO, {}, box.env())).toBe(folder)
    },
  )

  it.skipIf(without('root'))('a folder of root, for another user', async () => {
    box.fresh()
    mkdirSync(box.cache)
    chmodSync(box.root, 0o755)
    const { code, message } = (await outcomeOf(await startPull(box.processEnv(), { uid: 65534 })))!
    expect(code).toBe('ERR_CACHE_NOT_WRITABLE')
    expect(message).toMatch(/belongs to user 0, this process runs as user 65534.*chown -R 65534/s)
    expect(server.requests).toEqual([])
  })

  it('a file where the folder should be', async () => {
    box.fresh()
    writeFileSync(box.cache, 'a file')
    const error = await rejection(resolveRepository(REPO, {}, box.env()))
    expect(error).toMatchObject({ code: 'ERR_CACHE_NOT_WRITABLE', message: expect.stringContaining('is a file') })
  })
})

it('knows how much is free where the folder will be', async () => {
  expect(await freeSpace(path.join(box.root, 'not/there/yet'))).toBeGreaterThan(0)
  expect(readdirSync(box.root)).not.toContain('not')
})
