/** What the golden tests read recordings and find near ties with. */
import { describe, expect, it, vi } from 'vitest'
import { parseCall } from './golden-call.js'
import { type ConceptRun, clicksOf, propagationOf, removedBefore, stagesOf } from './golden-run.js'
import { RunComparison, tieOfMask, tieOfScore } from './near-ties.js'

describe('near ties', () => {
  it('are pixels whose logit, at the size at which the mask is made binary, is nearly zero', () => {
    const logits = new Float32Array(16).fill(-3)
    expect(tieOfMask(logits, 4)).toBeUndefined()
    logits[6] = 4e-6
    expect(tieOfMask(logits, 4)).toBe('pixel (2, 1) of 4 x 4 has the logit 4.0e-6')
    logits[6] = 1.1e-5
    expect(tieOfMask(logits, 4)).toBeUndefined()
  })

  it('are scores at a limit', () => {
    expect(tieOfScore('score', [0.4, 0.700002], [0.5, 0.7])).toBe('score 0.700002 is at the limit 0.7')
    expect(tieOfScore('score', [0.4, 0.70001], [0.5, 0.7])).toBeUndefined()
  })

  it('end the comparison of a run with the first difference behind them, and only behind them', async () => {
    const said = vi.spyOn(console, 'log').mockImplementation(() => {})
    const differ = () => expect(1).toBe(2)
    await expect(new RunComparison('run').step('output 1', differ)).rejects.toThrow()
    const comparison = new RunComparison('run')
    comparison.meet('a pixel')
    await comparison.step('output 1', () => {})
    expect(comparison.ended).toBe(false)
    await comparison.step('output 2', differ)
    expect(comparison.ended).toBe(true)
    await comparison.step('output 3', () => expect.unreachable())
    expect(said.mock.calls.flat()).toEqual([
      'run: near tie, a pixel',
      'run: compared up to there, since output 2 differs',
    ])
    said.mockRestore()
  })
})

describe('recorded calls', () => {
  it('are taken apart, whatever Python made of their values', () => {
    const { name, value } = parseCall(
      "add(frame=6, obj_id=2, points=[[.5, 1.]], box=None, {'clear': False}, text='a b')",
    )
    expect(name).toBe('add')
    expect(['frame', 'obj_id', 'points', 'box', 'clear', 'text', 'other'].map(value)).toEqual([
      6,
      2,
      [[0.5, 1]],
      undefined,
      false,
      'a b',
      undefined,
    ])
    expect(clicksOf('add_prompt(frame 4, points=[[.4,.1]], point_labels=[0], obj_id=7)')).toMatchObject({
      frameIndex: 4,
      objectId: 7,
      points: [[0.4, 0.1]],
      labels: [0],
    })
  })

  it('are found again from the outputs that they gave', () => {
    const output = (op: string, frame: number, obj_ids: number[]) => ({ i: 0, op, frame, obj_ids, frame_stats: null })
    const outputs = [
      output('add_prompt', 1, [0, 5]),
      ...[1, 2, 3].map((frame) => output('propagate', frame, [0, 5])),
      ...[2, 1, 0].map((frame) => output('propagate_2nd_direction', frame, [0, 5])),
      ...[1, 2].map((frame) => output('propagate_after_remove', frame, [5])),
    ]
    const stages = stagesOf({ outputs } as ConceptRun)
    expect(stages.map(({ op }) => op)).toEqual([...new Set(outputs.map(({ op }) => op))])
    expect(stages.slice(1).map((stage) => propagationOf(stage, 4))).toEqual([
      { direction: 'forward', startFrame: 1 },
      { direction: 'backward', startFrame: 3 },
      { direction: 'forward', startFrame: 1, maxFrames: 2 },
    ])
    expect(removedBefore(stages[3]!, stages.slice(0, 3))).toEqual([0])
    expect(removedBefore(stages[2]!, stages.slice(0, 2))).toEqual([])
  })
})
