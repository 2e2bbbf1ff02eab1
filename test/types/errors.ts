// What the compiler says to a user who handles errors. `tsc` checks this file (lint, `npm run typecheck`); it is never run.

import { expectTypeOf } from 'vitest'
import {
  type AccessReason,
  type EnvironmentErrorCode,
  type HubErrorCode,
  type InputErrorCode,
  type ModelErrorCode,
  type RuntimeErrorCode,
  type ServiceErrorCode,
  Sam3AbortError,
  type Sam3EnvironmentError,
  Sam3Error,
  type Sam3ErrorCode,
  type Sam3HubError,
  Sam3InputError,
  type Sam3ModelError,
  Sam3RuntimeError,
  Sam3ServiceError,
} from '../../lib/index.js'

export function codes(error: unknown) {
  if (!(error instanceof Sam3Error)) return
  expectTypeOf(error).toExtend<Error>()
  expectTypeOf(error.fix).toBeString()
  // One of the codes, so that a misspelt one does not compile.
  expectTypeOf(error.code).toEqualTypeOf<Sam3ErrorCode>()
  expectTypeOf<string>().not.toExtend<Sam3ErrorCode>()
  if (error.code === 'ERR_QUEUE_FULL') return
  // @ts-expect-error misspelt
  if (error.code === 'ERR_QUEUE_FUL') return
  // @ts-expect-error read only
  error.code = 'ERR_INTERNAL'
}

/** Every code has its family, and no code has two. */
export function families() {
  type Hub = HubErrorCode | 'ABORT_ERR'
  type Environment = EnvironmentErrorCode | Hub
  type Model = ModelErrorCode | Environment
  type Input = InputErrorCode | Model
  type Runtime = RuntimeErrorCode | Input
  expectTypeOf<ServiceErrorCode | Runtime>().toEqualTypeOf<Sam3ErrorCode>()
  expectTypeOf<ServiceErrorCode & Runtime>().toBeNever()
  expectTypeOf<RuntimeErrorCode & Input>().toBeNever()
  expectTypeOf<InputErrorCode & Model>().toBeNever()
  expectTypeOf<ModelErrorCode & Environment>().toBeNever()
  expectTypeOf<EnvironmentErrorCode & Hub>().toBeNever()
}

export function kinds() {
  expectTypeOf<
    | Sam3InputError
    | Sam3ModelError
    | Sam3EnvironmentError
    | Sam3HubError
    | Sam3RuntimeError
    | Sam3ServiceError
    | Sam3AbortError
  >().toExtend<Sam3Error>()
  expectTypeOf<Sam3HubError['reason']>().toEqualTypeOf<AccessReason | undefined>()
  expectTypeOf(Sam3InputError).toBeConstructibleWith('ERR_INVALID_BOX', 'The box is empty.', { fix: 'Draw one.' })
  // @ts-expect-error a code of models
  new Sam3InputError('ERR_PROGRAM', '')
  expectTypeOf(Sam3ServiceError).toBeConstructibleWith('ERR_OVERLOADED', 'Too much.', { retryAfter: 5 })
  // @ts-expect-error misspelt
  new Sam3RuntimeError('ERR_INTERNAL', '', { fx: 'Report it.' })
  // @ts-expect-error the code of an abort is always the same
  new Sam3AbortError('ERR_INTERNAL', '')
}
