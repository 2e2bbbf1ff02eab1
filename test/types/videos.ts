// What the compiler says to a user of videos. `tsc` checks this file (lint, `npm run typecheck`); it is never run.

import { expectTypeOf } from 'vitest'
import {
  type Box,
  buildSam3VideoModel,
  type CocoVideo,
  type FrameResult,
  type ImageInput,
  type Mask,
  type MotText,
  openSource,
  type PromptResult,
  type Propagation,
  type PushSource,
  type Sam3ImageModel,
  type Sam3VideoModel,
  Sam3VideoPredictor,
  type Segmentation,
  type SessionStats,
  type TrackedObject,
  type VideoInput,
  type VideoSession,
} from '../../lib/index.js'

export async function sessions() {
  await using model = await buildSam3VideoModel({ model: 'demo' })
  expectTypeOf(model).toEqualTypeOf<Sam3VideoModel>()
  // A video model answers about images as well.
  expectTypeOf(model).toExtend<Sam3ImageModel>()
  expectTypeOf(model.segment('a.jpg', 'cup')).resolves.toEqualTypeOf<Segmentation>()

  await using session = await model.startSession('clip.mp4', { history: 'full', frameRate: 5, maxNumObjects: 9 })
  expectTypeOf(session).toEqualTypeOf<VideoSession>()
  expectTypeOf(session).toExtend<AsyncDisposable>()
  expectTypeOf(session.frameCount).toEqualTypeOf<number | undefined>()
  expectTypeOf(session.stats()).resolves.toEqualTypeOf<SessionStats>()
  expectTypeOf(session.close()).resolves.toBeVoid()

  // @ts-expect-error misspelt
  await model.startSession('clip.mp4', { histroy: 'full' })
  // @ts-expect-error no such history
  await model.startSession('clip.mp4', { history: 'endless' })
  // @ts-expect-error an option of models
  await model.startSession('clip.mp4', { device: 'cpu' })
  // @ts-expect-error no video
  await model.startSession(7)
}

export function inputs() {
  expectTypeOf<string | URL | string[] | PushSource>().toExtend<VideoInput>()
  expectTypeOf<Iterable<ImageInput> | AsyncGenerator<Uint8Array>>().toExtend<VideoInput>()
  expectTypeOf(openSource('clip.mp4')).resolves.toExtend<VideoInput>()
  expectTypeOf<Uint8Array | number | Iterable<number>>().not.toExtend<VideoInput>()
}

export async function prompts(session: VideoSession, mask: Mask) {
  expectTypeOf(session.addPrompt({ frameIndex: 0, text: 'cup' })).resolves.toEqualTypeOf<PromptResult>()
  expectTypeOf(
    session.addPoints({ frameIndex: 0, objectId: 1, points: [[1, 2]] }),
  ).resolves.toEqualTypeOf<FrameResult>()
  expectTypeOf(session.addMask({ frameIndex: 0, objectId: 1, mask })).resolves.toEqualTypeOf<FrameResult>()
  expectTypeOf(session.clearPrompts({ frameIndex: 0, objectId: 1 })).resolves.toEqualTypeOf<FrameResult>()
  expectTypeOf<PromptResult>().toExtend<FrameResult>()

  // @ts-expect-error on which frame?
  await session.addPrompt({ text: 'cup' })
  // @ts-expect-error misspelt
  await session.addPrompt({ frameIndex: 0, txt: 'cup' })
  // @ts-expect-error one text a prompt
  await session.addPrompt({ frameIndex: 0, text: ['cup', 'dog'] })
  // @ts-expect-error which object?
  await session.addPoints({ frameIndex: 0, points: [[1, 2]] })
  // @ts-expect-error misspelt
  await session.addPoints({ frameIndex: 0, objectId: 1, points: [[1, 2]], clearOldPoint: false })
  // @ts-expect-error a mask is a mask
  await session.addMask({ frameIndex: 0, objectId: 1, mask: 'mask.png' })
}

export async function propagation(session: VideoSession) {
  expectTypeOf(session.propagate()).toEqualTypeOf<Propagation>()
  expectTypeOf<Propagation>().toExtend<AsyncIterableIterator<FrameResult> & AsyncDisposable>()
  for await (const frame of session.propagate({ direction: 'both', maxFrames: 9 })) {
    expectTypeOf(frame).toEqualTypeOf<FrameResult>()
    expectTypeOf(frame.objects).toEqualTypeOf<TrackedObject[]>()
    for (const { id, box, mask, prompt, promptIndex } of frame.objects) {
      expectTypeOf(id).toBeNumber()
      expectTypeOf(box).toEqualTypeOf<Box>()
      expectTypeOf(mask).toEqualTypeOf<Mask>()
      expectTypeOf(prompt).toEqualTypeOf<string | undefined>()
      expectTypeOf(promptIndex).toEqualTypeOf<number | undefined>()
    }
    // A frame goes into the exports as it is.
    expectTypeOf(frame).toExtend<Parameters<CocoVideo['add']>[0]>()
    expectTypeOf(frame).toExtend<Parameters<MotText['lines']>[0]>()
  }
  // @ts-expect-error misspelt
  session.propagate({ maxFrame: 9 })
  // @ts-expect-error no such direction
  session.propagate({ direction: 'sideways' })
}

export async function reference(model: Sam3VideoModel) {
  const predictor = new Sam3VideoPredictor(model)
  await predictor.handleRequest({ type: 'start_session', resource_path: 'clip.mp4' })
  for await (const { frame_index, outputs } of predictor.handleStreamRequest({
    type: 'propagate_in_video',
    session_id: 'a',
  })) {
    expectTypeOf(frame_index).toBeNumber()
    expectTypeOf(outputs.out_binary_masks).toEqualTypeOf<Mask[]>()
  }
  // @ts-expect-error no such request
  await predictor.handleRequest({ type: 'stop_session', session_id: 'a' })
  // @ts-expect-error a stream is asked for with handleStreamRequest
  await predictor.handleRequest({ type: 'propagate_in_video', session_id: 'a' })
}
