/** Model folders that differ from a known one in their config.json only. */
import { mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** A new folder within `place`: the files of `model` by links, and this config (text as it is, else as JSON). */
export function modelWithConfig(place: string, model: string, config: string | object): string {
  const own = mkdtempSync(path.join(place, 'model-'))
  for (const file of readdirSync(model)) {
    if (file !== 'config.json') symlinkSync(path.join(model, file), path.join(own, file))
  }
  writeFileSync(path.join(own, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config))
  return own
}

/** The config.json of a model folder. */
export function configOf(model: string): Record<string, object> {
  return JSON.parse(readFileSync(path.join(model, 'config.json'), 'utf8')) as Record<string, object>
}
