// What import.meta.url is in the CommonJS build (tsup.config.ts): the address of the file that runs. Made by Node from its
// path, so that a folder may be called c#app or 100%. Inside of an ES module that a bundler made there is no __filename.
import { pathToFileURL } from 'node:url'

export const importMetaUrl = typeof __filename === 'undefined' ? undefined : pathToFileURL(__filename).href
