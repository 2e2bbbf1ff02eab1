/** `sam3-node libtorch`: installs LibTorch, says which there are, and which is used. */
import { resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { Sam3InputError } from '../../base/errors.js'
import { formatBytes } from '../../download/disk-space.js'
import { chooseFlavour } from '../../libtorch/flavour.js'
import { installLibtorch } from '../../libtorch/install.js'
import { pipIndexes } from '../../libtorch/pip-config.js'
import { FLAVOURS, type Flavour, officialSource, type Source } from '../../libtorch/sources.js'
import { folderSize, link, listStore, storeFolder } from '../../libtorch/store.js'
import { checkLibtorch, type Libtorch, librariesOf, torchOfPython } from '../../libtorch/find.js'
import { libtorchFor, LOAD_FIX, type NativeFiles, nativeFiles } from '../../native/loader.js'
import { tryInChild } from '../../libtorch/trial.js'
import { table } from '../common/output.js'
import { interruptible } from '../common/interrupt.js'
import { DOWNLOAD_STOPPED, startPullView } from '../common/pull-progress.js'
import { shown } from '../../base/shown.js'

interface InstallOptions {
  flavour: Flavour | 'auto'
  dir?: string
  version?: string
  index?: string
  folder?: string
  python?: string
}

export function libtorchCommand(): Command {
  const install = new Command('install')
    .description('Download LibTorch, or take one that is there. Continues where an earlier run stopped.')
    .addOption(
      new Option('--flavour <name>', 'auto: CUDA where there is a GPU for it')
        .choices(['auto', ...FLAVOURS])
        .default('auto'),
    )
    .option('--dir <folder>', 'install there (default: SAM3_LIBTORCH_DIR, else the cache folder of the user)')
    .option('--version <version>', 'default: the one that the engine was built for', parseVersion)
    .option('--index <address>', 'take wheels from this Python package index; "pip": from those that pip is set up for')
    .option('--folder <folder>', 'download nothing: use this unpacked LibTorch from now on')
    .option('--python <program>', 'download nothing: use the torch of this Python from now on')
    .action(runInstall)
  const list = new Command('list')
    .description('List what is installed.')
    .option('--dir <folder>', 'look there')
    .option('--json', 'print JSON')
    .action(runList)
  const path = new Command('path').description('Print the folder of the LibTorch that is used.').action(runPath)
  return new Command('libtorch')
    .description('Install LibTorch, the library that runs the network.')
    .addCommand(install)
    .addCommand(list)
    .addCommand(path)
}

function parseVersion(text: string): string {
  if (!/^\d+\.\d+\.\d+$/.test(text)) throw new InvalidArgumentError('Write it as 2.13.0.')
  return text
}

const storeOf = (dir: string | undefined) => (dir === undefined ? storeFolder(process.env) : resolve(dir))

/** The version that is wanted, and a warning when it is not the engine's. */
function wantedVersion(asked: string | undefined, { manifest }: NativeFiles): string {
  if (asked !== undefined && asked !== manifest.torch)
    process.stderr.write(`The engine was built for LibTorch ${manifest.torch}: it will not run with ${asked}.\n`)
  return asked ?? manifest.torch
}

function sourceOf(version: string, flavour: Flavour, index: string | undefined): Source {
  if (index === undefined) return officialSource(version, flavour, process.env)
  if (index !== 'pip') {
    if (!/^https?:\/\//.test(index) || !URL.canParse(index)) {
      throw new Sam3InputError('ERR_INVALID_ARGUMENT', '--index is no web address.', {
        fix: 'Write it as pip has it, such as https://host/simple, or write pip.',
      })
    }
    return { kind: 'wheels', indexes: [index.replace(/\/+$/, '')] }
  }
  const indexes = pipIndexes(process.env)
  if (indexes.length === 0) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', 'pip is set up for no index: it uses the one that is built in.', {
      fix: 'Set PIP_INDEX_URL, or give the address with --index.',
    })
  }
  return { kind: 'wheels', indexes }
}

/** Opens LibTorch, and the engine where it is for this version, in another process. */
async function tryFolder({ folder, library, version }: Libtorch, files: NativeFiles): Promise<void> {
  const fits = version.split('+')[0] === files.manifest.torch
  const engine = fits ? { engine: files.enginePath } : {}
  process.stderr.write(`trying ${folder}\n`)
  await tryInChild({ loader: files.loaderPath, libraries: librariesOf({ library }), ...engine }, LOAD_FIX)
}

async function runInstall(options: InstallOptions): Promise<void> {
  const files = nativeFiles()
  const version = wantedVersion(options.version, files)
  const store = storeOf(options.dir)
  if (options.folder !== undefined || options.python !== undefined) return adopt(options, version, store, files)
  const { flavour, reason } =
    options.flavour === 'auto'
      ? chooseFlavour(files.loader.probeGpu())
      : { flavour: options.flavour, reason: 'as asked' }
  const source = sourceOf(version, flavour, options.index)
  process.stderr.write(`LibTorch ${version} for ${flavour} (${reason}) into ${store}\n`)
  await interruptible(async (signal) => {
    const view = startPullView()
    const { folder, present } = await installLibtorch({
      version,
      flavour,
      source,
      store,
      signal,
      onProgress: view.update,
      onStep: (text) => process.stderr.write(`${text}\n`),
      test: (staged) => tryFolder(checkLibtorch(staged, 'What was downloaded', version), files),
    }).finally(view.stop)
    process.stderr.write(present ? 'It was there.\n' : 'Installed.\n')
    process.stdout.write(`${checkLibtorch(folder, 'What is installed', version).folder}\n`)
    if (options.dir !== undefined)
      process.stderr.write(
        `To have it found there, set SAM3_LIBTORCH_DIR=${store} (or LIBTORCH to the folder above).\n`,
      )
  }, DOWNLOAD_STOPPED)
}

/** Remembers a LibTorch that is on this machine already. */
async function adopt(
  { folder, python }: InstallOptions,
  version: string,
  store: string,
  files: NativeFiles,
): Promise<void> {
  const path = folder ?? torchOfPython(python!)[0]
  if (path === undefined) {
    throw new Sam3InputError('ERR_INVALID_ARGUMENT', `${shown(python)} cannot be run, or has no torch.`, {
      fix: `Install torch==${version} there, or leave --python out to download LibTorch.`,
    })
  }
  const found = checkLibtorch(resolve(path), folder === undefined ? `The torch of ${python}` : '--folder', version)
  await tryFolder(found, files)
  const flavour = found.version.split('+')[1] ?? (librariesOf(found).length > 1 ? 'cuda' : 'cpu')
  await link(store, `${version}+${flavour}`, found.folder)
  process.stderr.write(`LibTorch ${found.version} is used from there.\n`)
  process.stdout.write(`${found.folder}\n`)
}

async function runList({ dir, json }: { dir?: string; json?: boolean }): Promise<void> {
  const store = storeOf(dir)
  const found = await Promise.all(
    listStore(store).map(async (one) => ({ ...one, bytes: one.link ? 0 : await folderSize(one.folder) })),
  )
  if (json) {
    process.stdout.write(`${JSON.stringify({ folder: store, libtorch: found })}\n`)
    return
  }
  process.stdout.write(`${store}\n`)
  if (found.length === 0) process.stdout.write('Nothing. Install it with: sam3-node libtorch install\n')
  else
    process.stdout.write(
      `${table(found.map(({ name, folder, link: isLink, bytes }) => [name, isLink ? 'elsewhere' : formatBytes(bytes), folder]))}\n`,
    )
}

function runPath(): void {
  process.stdout.write(`${libtorchFor(nativeFiles()).folder}\n`)
}
