/** What the test hub serves: repositories with commits, and the hashes that the real hub gives their files. */
import { createHash } from 'node:crypto'
import { seededRandom } from '../random.js'

export interface HubFile {
  content: Buffer
  /** Stored as a large file: named by SHA-256 and served from another host. */
  lfs: boolean
  xet: boolean
}

export interface HubRepository {
  commits: Map<string, Map<string, HubFile>>
  /** Branches and tags. */
  refs: Map<string, string>
  gated: boolean
}

export const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex')

/** Git's name of a content. */
export const gitBlobId = (content: Buffer) =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')

export const etagOf = ({ lfs, content }: HubFile) => (lfs ? sha256(content) : gitBlobId(content))

/** Seeded bytes that do not compress. */
export function seededBytes(size: number, seed: number): Buffer {
  const random = seededRandom(seed)
  const bytes = Buffer.alloc(size)
  for (let i = 0; i + 4 <= size; i += 4) bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), i)
  return bytes
}

/** A safetensors file of one tensor, so that whoever reads it finds it well-formed. */
export function seededSafetensors(size: number, seed: number): Buffer {
  const header = JSON.stringify({ weight: { dtype: 'U8', shape: [size], data_offsets: [0, size] } })
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  return Buffer.concat([length, Buffer.from(padded), seededBytes(size, seed)])
}

/** The files of a small model; `weights` bytes of weights, large enough to be interrupted. */
export function modelFiles(weights: number, seed = 1): Record<string, HubFile> {
  const text = (value: unknown): HubFile => ({ content: Buffer.from(JSON.stringify(value)), lfs: false, xet: false })
  return {
    '.gitattributes': { content: Buffer.from('*.safetensors filter=lfs'), lfs: false, xet: false },
    'README.md': { content: Buffer.from('# A model'), lfs: false, xet: false },
    'config.json': text({ model_type: 'sam3_video', seed }),
    'tokenizer.json': text({ version: '1.0', seed }),
    'tokenizer_config.json': text({ tokenizer_class: 'CLIPTokenizer' }),
    'model.safetensors': { content: seededSafetensors(weights, seed), lfs: true, xet: false },
    'sam3.pt': { content: seededBytes(5_000, seed + 1), lfs: true, xet: false },
  }
}

/** Makes a repository of one commit on `main`. */
export function makeRepository(files: Record<string, HubFile>, gated = false): HubRepository {
  const repository: HubRepository = { commits: new Map(), refs: new Map(), gated }
  commit(repository, files)
  return repository
}

/** Adds a commit and moves a branch to it. */
export function commit(repository: HubRepository, files: Record<string, HubFile>, branch = 'main'): string {
  const listing = Object.entries(files).map(([path, file]) => `${path} ${etagOf(file)}`)
  const id = gitBlobId(Buffer.from(`${listing.join('\n')} ${repository.commits.size}`))
  repository.commits.set(id, new Map(Object.entries(files)))
  repository.refs.set(branch, id)
  return id
}
