/** The golden model as a gated repository of the test hub. */
import { readFileSync } from 'node:fs'
import type { HubServer } from './hub-server.js'
import { type HubFile, makeRepository } from './repository.js'

/** Serves the files of a model folder. */
export function hubServerOf(server: HubServer, repo: string, folder: string): void {
  const names = ['config.json', 'tokenizer.json', 'model.safetensors']
  const files: Record<string, HubFile> = {}
  for (const name of names) {
    files[name] = { content: readFileSync(`${folder}/${name}`), lfs: !name.endsWith('.json'), xet: false }
  }
  server.repositories.set(repo, makeRepository(files, true))
}
