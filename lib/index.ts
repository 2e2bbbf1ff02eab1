/**
 * SAM 3 (Segment Anything with Concepts) for Node.js: text, exemplar boxes, clicks and masks, on images and videos.
 *
 * @module sam3-node
 */
// Models and images
export { buildSam3ImageModel } from './model/build.js'
export { type BatchImage, type BatchItem, type BatchPrompts, Sam3ImageModel } from './model/image-model.js'
export type {
  CallReport,
  CallSpan,
  CallStage,
  DeviceMemory,
  EngineTimes,
  ModelInfo,
  ModelParts,
  ModelStats,
} from './native/contract.js'
export { EncodedImage } from './model/encoded-image.js'
export type { Dtype, ImageModelOptions, LoadProgress } from './model/options.js'
export { ProcessorState, Sam3Processor } from './model/processor.js'
export type { ImageInput, RawImage } from './image/source.js'
export type { HubOptions } from './hub/types.js'
export type { PullProgress } from './download/types.js'

// Prompts
export type { Box, BoxInput, MaskLogits, NumberArray, Point, PointInput } from './geometry/types.js'
export type {
  BoxPrompt,
  CallOptions,
  PointPrompt,
  Prompt,
  PromptInput,
  PromptLabel,
  PromptList,
  Prompts,
  PromptSettings,
} from './prompt/types.js'

// Results
export type { Instance, OverlayInstance, Prediction, ScoredMask, Segmentation } from './result/types.js'
export { Mask } from './result/mask.js'
export type { Polygon, PolygonOptions, Vertex } from './result/polygons.js'
export type { CocoRle, UncompressedRle } from './result/rle.js'
export { overlay, type OverlayOptions } from './result/overlay.js'
export type { Categories, CategoryChoice, CocoCategory } from './result/categories.js'
export {
  type CocoAnnotation,
  type CocoEntry,
  type CocoImage,
  type CocoJson,
  type CocoOptions,
  toCocoJson,
} from './result/coco.js'

// Videos
export { buildSam3VideoModel, Sam3VideoModel, type VideoModelOptions } from './video/video-model.js'
export { Propagation, VideoSession } from './video/session/session.js'
export type { SessionStats, StageTimes } from './native/contract.js'
export type { HeuristicOptions, SessionOptions } from './video/session/options.js'
export type { ObjectMask, ObjectOnFrame, ObjectPoints, VideoPrompt } from './video/session/prompts.js'
export type { PropagateOptions, PropagationDirection } from './video/session/propagate-options.js'
export type { FrameResult, PromptResult, TrackedObject } from './video/session/results.js'
export { openSource } from './video/source/open.js'
export { type PushOptions, PushSource, type PushStats } from './video/source/push.js'
export type { FrameSource, LiveSource, SourceFrame, SourceOptions, VideoInput } from './video/source/types.js'
export type { ProgramOptions } from './video/ffmpeg/find.js'

// Videos out
export { type DrawnObject, objectLabel, overlayFrame, type OverlayFrameOptions } from './video/draw/overlay-frame.js'
export { VideoWriter, type VideoWriterOptions, type WritableFrame } from './video/encode/video-writer.js'
export type { ExportedFrame, ExportedObject } from './video/export/types.js'
export {
  CocoVideo,
  type CocoVideoAnnotation,
  type CocoVideoEntry,
  type CocoVideoInfo,
  type CocoVideoJson,
  type CocoVideoResult,
} from './video/export/coco-video.js'
export { type MotOptions, MotText } from './video/export/mot.js'
export { motSequenceInfo, type MotSequenceInfo } from './video/export/mot-sequence.js'

// The interface of the Python reference
export {
  type AddPromptRequest,
  type CloseSessionRequest,
  type FrameResponse,
  type PropagateInVideoRequest,
  type RemoveObjectRequest,
  type ResetSessionRequest,
  Sam3VideoPredictor,
  type StartSessionRequest,
  type StartSessionResponse,
  type SuccessResponse,
  type VideoFrameStats,
  type VideoOutputs,
  type VideoRequest,
} from './video/facade.js'

// Errors
export {
  type AccessReason,
  type EnvironmentErrorCode,
  type HubErrorCode,
  type InputErrorCode,
  type ModelErrorCode,
  type RuntimeErrorCode,
  type ServiceErrorCode,
  Sam3AbortError,
  Sam3EnvironmentError,
  Sam3Error,
  type Sam3ErrorCode,
  type Sam3ErrorDetails,
  Sam3HubError,
  Sam3InputError,
  Sam3ModelError,
  Sam3RuntimeError,
  Sam3ServiceError,
} from './base/errors.js'
