/** Failures of every store. */
import { Sam3ServiceError } from 'sam3-node'

export function conflict(id: string): Sam3ServiceError {
  return new Sam3ServiceError('ERR_JOB_CONFLICT', `There is another job with the id ${id}.`, {
    fix: 'Choose another id; the same one is for the same job.',
  })
}
