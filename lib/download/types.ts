/** What is downloaded, and what a user sees of it. */

/** A file whose content was promised by whoever offers it. */
export interface PromisedFile {
  path: string
  size: number
  /** SHA-256 of its content, or its git blob id (SHA-1), which the hub has of small files. */
  hash: string
}

/** How far one file of a download has come. `bytes` never goes back, except after a file was found to be damaged. */
export interface PullProgress {
  /** Name of the file in the repository. */
  file: string
  /**
   * `cached`: it was there. `waiting`: another process downloads it (`bytes` is how far that one is). `downloading`.
   * `retrying`: the connection failed, and is tried again. `verifying`: its hash is computed. `done`: it can be used.
   */
  state: 'cached' | 'waiting' | 'downloading' | 'retrying' | 'verifying' | 'done'
  /** Bytes of the file on disk. */
  bytes: number
  /** Bytes of the whole file. */
  total: number
  /** Bytes per second of this file over the last seconds; 0 while nothing is known. */
  rate: number
  /** The same over all files of the download. */
  overall: {
    /** Bytes on disk. */
    bytes: number
    /** Bytes of all files. */
    total: number
    /** Bytes per second over the last seconds. */
    rate: number
  }
}
