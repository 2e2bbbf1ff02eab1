/** The heuristics under their three names: the reference's (native), ours, and the documentation with its defaults. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { checkSessionOptions, type SessionOptions } from '../../../../lib/video/session/options.js'
import { repositoryRoot } from '../../../support/paths.js'

const text = (path: string) => readFileSync(`${repositoryRoot}/${path}`, 'utf8')
const camelCase = (name: string) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())

/** Fields and defaults of the engine's option structs. */
function engineDefaults(): Map<string, string> {
  const headers = ['concepts/concept_options.h', 'tracker/tracker_options.h']
    .map((name) => text(`native/video/${name}`))
    .join('\n')
  const fields = [...headers.matchAll(/^ {2}(?:float|bool|int64_t) (\w+) = ([^;]+);/gm)]
  return new Map(fields.map(([, name, value]) => [camelCase(name!), value!.replace(/f$/, '')]))
}

/** Defaults as the documentation of the options says them. */
function documentedDefaults(): Map<string, string> {
  const source = /interface HeuristicOptions \{(.*?)\n\}/s.exec(text('lib/video/session/options.ts'))![1]!
  const options = [...source.matchAll(/\/\*\*((?:(?!\*\/).)*)\*\/\s*(\w+)\?:/gs)]
  return new Map(options.map(([, comment, name]) => [name!, /Default:? ([-\w.]+?)[.,]?(?:\s|$)/.exec(comment!)![1]!]))
}

describe('the heuristics', () => {
  const engine = engineDefaults()

  it('are those of the engine, with its defaults', () => {
    const documented = documentedDefaults()
    expect([...documented.keys()].sort()).toEqual([...engine.keys()].sort())
    for (const [name, value] of engine) expect([name, documented.get(name)]).toEqual([name, value])
  })

  it('all reach the engine', () => {
    const read = [...text('binding/video_convert.cc').matchAll(/read\(from, "(\w+)",\s*to\.(\w+)\)/g)]
    expect(read.map(([, ours]) => ours).sort()).toEqual([...engine.keys()].sort())
    for (const [, ours, theirs] of read) expect(camelCase(theirs!)).toBe(ours)
  })
})

describe('what the engine is told', () => {
  const source = { width: 8, height: 6, frameCount: 5, frameRate: 25, randomAccess: true } as never
  const native = (options: SessionOptions, isLive = false) => checkSessionOptions(options).native(source, isLive)

  it('is only what was asked, so that its own defaults hold', () => {
    const plain = { width: 8, height: 6, numFrames: 5, fullHistory: false, bicubic: false, logits: false }
    expect(native({})).toEqual(plain)
    expect(native({ history: 'full', resample: 'bicubic', logits: true, memoryLimit: 9, newDetThresh: 0 })).toEqual({
      ...plain,
      ...{ fullHistory: true, bicubic: true, logits: true, memoryLimit: 9, newDetThresh: 0 },
    })
  })

  it('a short delay brings thresholds within it, live frames no delay', () => {
    const delay = ({ hotstartDelay, hotstartUnmatchThresh, hotstartDupThresh }: ReturnType<typeof native>) => [
      hotstartDelay,
      hotstartUnmatchThresh,
      hotstartDupThresh,
    ]
    expect(delay(native({ hotstartDelay: 20 }))).toEqual([20, 8, 8])
    expect(delay(native({ hotstartDelay: 5, hotstartDupThresh: 2 }))).toEqual([5, 5, 2])
    expect(delay(native({}, true))).toEqual([0, 0, 0])
    expect(delay(native({ hotstartDelay: 4 }, true))).toEqual([4, 4, 4])
    expect(delay(native({}))).toEqual([undefined, undefined, undefined])
  })
})
