/** What the functions of this folder pass to each other, and what a user may say about downloads. */
import type { PromisedFile, PullProgress } from '../download/types.js'

/** Where models come from and where they are kept. All have defaults; see docs/models.md. */
export interface HubOptions {
  /** Hugging Face token. Default: `HF_TOKEN`, then the file that `hf auth login` writes. */
  accessToken?: string
  /** Folder of the cache. Default: `SAM3_CACHE_DIR`, `HF_HUB_CACHE` or `HF_HOME` if set, else `models/` of this package. */
  cacheDir?: string
  /** Branch, tag or commit of the repository. Default `'main'`. */
  revision?: string
  /** Never use the network. Default: `HF_HUB_OFFLINE`. */
  offline?: boolean
  /** Called while files are downloaded, at most about ten times a second per file. */
  onProgress?: (progress: PullProgress) => void
  /** Stops a download at once; what has arrived is kept for the next time. */
  signal?: AbortSignal
}

/** A file of a repository, as the hub lists it. Its hash is the name of its blob. */
export interface RemoteFile extends PromisedFile {
  /** Stored in Xet: its bytes come in deduplicated chunks from another server. */
  xet: boolean
}

/** One commit of a repository. */
export interface RemoteSnapshot {
  repo: string
  commit: string
  files: RemoteFile[]
}
