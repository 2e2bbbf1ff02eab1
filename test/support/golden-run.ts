/** Recorded runs of the reference's video model, as the goldens describe them. */
import { parseCall } from './golden-call.js'

export interface Output {
  i: number
  op: string
  frame: number
  obj_ids: number[]
  frame_stats: { num_obj_tracked: number; num_obj_dropped: number } | null
}
export interface Internal {
  i: number
  frame: number
  trk_obj_ids: number[]
  plan: { new_det_fa_inds: number[]; trk_id_to_max_iou_high_conf_det: Record<string, number> }
  reconditioned_calls: number[]
}
export interface ConceptRun {
  name: string
  variant: string
  /** Settings that differ from the recording's defaults. */
  overrides: Record<string, number | boolean>
  prompt: { text_str?: string; boxes_xywh?: [number, number, number, number][]; box_labels?: (0 | 1)[] }
  /** Whether prescribed masks took the place of the detector's or the tracker's. */
  crafted_det: boolean
  crafted_trk: boolean
  /** The frame of the prompt. */
  start: number
  error: string | null
  outputs: Output[]
  internals: Internal[]
}
export interface ConceptRecording {
  clip: string
  num_frames: number
  low_res: number
  defaults: Record<string, number | boolean>
  runs: ConceptRun[]
}

/** Outputs that one call gave: one of a prompt, those of all frames of a propagation. */
export interface Stage {
  op: string
  outputs: Output[]
}

/** Whether the outputs are those of a propagation. */
export const isPropagation = ({ op }: Stage): boolean => op.startsWith('propagate')

/** The outputs of a run by the calls that gave them. */
export function stagesOf({ outputs }: ConceptRun): Stage[] {
  const stages: Stage[] = []
  for (const output of outputs) {
    const last = stages.at(-1)
    const goesOn = last !== undefined && isPropagation(last) && last.op === output.op
    if (goesOn) last.outputs.push(output)
    else stages.push({ op: output.op, outputs: [output] })
  }
  return stages
}

/** The propagation that gave a stage: where it starts and which way it goes. One that ends early says after how many. */
export function propagationOf({ op, outputs }: Stage, frameCount: number) {
  const frames = outputs.map(({ frame }) => frame)
  const [first, second] = frames as [number, number?]
  const isBackward = second === undefined ? op.includes('2nd_direction') : second < first
  const isWhole = frames.at(-1) === (isBackward ? 0 : frameCount - 1)
  return {
    direction: isBackward ? ('backward' as const) : ('forward' as const),
    // The reference's backward passes begin beside the start frame.
    startFrame: isBackward ? Math.min(first + 1, frameCount - 1) : first,
    ...(isWhole ? {} : { maxFrames: frames.length }),
  }
}

/**
 * The objects that were removed before a stage. The recordings do not say which: those that an earlier stage showed on
 * the stage's frames and that are on none of them now.
 */
export function removedBefore(stage: Stage, earlier: readonly Stage[]): number[] {
  if (stage.op !== 'propagate_after_remove') return []
  const shown = new Set(stage.outputs.flatMap(({ obj_ids }) => obj_ids))
  const before = stage.outputs.flatMap(({ frame }) => {
    const last = earlier.flatMap(({ outputs }) => outputs).findLast((output) => output.frame === frame)
    return last?.obj_ids ?? []
  })
  return [...new Set(before)].filter((id) => !shown.has(id))
}

/** The prompt of a call such as `add_prompt(frame 4, points=[[.4,.4]], point_labels=[1], obj_id=0)`. */
export function clicksOf(op: string) {
  const { value } = parseCall(op)
  return {
    frameIndex: value('frame') as number,
    objectId: value('obj_id') as number,
    points: value('points') as [number, number][],
    labels: value('point_labels') as (0 | 1)[],
    normalized: true,
  }
}
