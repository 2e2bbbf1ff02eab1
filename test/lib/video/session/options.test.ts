/** The heuristics: ours, with their ranges and documentation, beside the list that the engine's own tables make. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { NativeVideoOption } from '../../../../lib/native/contract.js'
import { loadEngine } from '../../../../lib/native/loader.js'
import {
  BOUNDING_DEFAULTS,
  checkSessionOptions,
  HEURISTICS,
  type SessionOptions,
} from '../../../../lib/video/session/options.js'
import { membersOf } from '../../../support/interfaces.js'

describe('the heuristics', () => {
  let engine: NativeVideoOption[]
  beforeAll(async () => {
    engine = (await loadEngine()).videoOptions
  })

  it('are those of the engine', () => {
    expect(Object.keys(HEURISTICS).sort()).toEqual(engine.map(({ name }) => name).sort())
    expect(Object.fromEntries(engine.map(({ name, default: value }) => [name, value]))).toMatchObject(BOUNDING_DEFAULTS)
  })

  it('take what the engine takes of each, its default among them', () => {
    for (const { name, type, default: value } of engine) {
      const check = HEURISTICS[name as keyof typeof HEURISTICS]
      expect(() => check(value, name)).not.toThrow()
      expect(() => check(type === 'boolean' ? 1 : true, name)).toThrow(name)
      if (type === 'number') expect(() => check(0.5, name)).not.toThrow()
      if (type === 'whole') expect(() => check(2.5, name)).toThrow(name)
    }
  })

  it('are documented with its defaults', () => {
    const documented = membersOf('lib/video/session/options.ts', 'HeuristicOptions').map(({ name, documentation }) => [
      name,
      /Default:? ([-\w.]+?)[.,]?(?:\s|$)/.exec(documentation)?.[1],
    ])
    const single = (value: unknown) => (typeof value === 'number' ? Math.fround(value) : value)
    const values = Object.fromEntries(documented.map(([name, text]) => [name, single(JSON.parse(text ?? 'null'))]))
    expect(values).toEqual(Object.fromEntries(engine.map(({ name, default: value }) => [name, value])))
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
