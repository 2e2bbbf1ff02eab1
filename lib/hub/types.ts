/** What the functions of this folder pass to each other, and what a user sees of a download. */

/** How far one file of a download has come. `bytes` never goes back, except after a file was found to be damaged. */
export interface PullProgress {
  /** Name of the file in the repository. */
  file: string
  /**
   * `cached`: it was there. `waiting`: another process downloads it (`bytes` is how far that one is). `downloading`.
   * `retrying`: the connection failed, and is tried again. `verifying`: its hash is computed. `done`: it can be used.
   */
  state: 'cached' | 'waiting' | 'downloading' | 'retrying' | 'verifying' | 'done'
  /** Bytes of the file on disk, and of the whole file. */
  bytes: number
  total: number
  /** Bytes per second of this file over the last seconds; 0 while nothing is known. */
  rate: number
  /** The same over all files of the download. */
  overall: { bytes: number; total: number; rate: number }
}

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

/** A file of a repository, as the hub lists it. */
export interface RemoteFile {
  path: string
  size: number
  /** Name of its blob: the SHA-256 of the content for a large file, the git blob id (SHA-1) for a small one. */
  etag: string
  /** Stored in Xet: its bytes come in deduplicated chunks from another server. */
  xet: boolean
}

/** One commit of a repository. */
export interface RemoteSnapshot {
  repo: string
  commit: string
  files: RemoteFile[]
}
