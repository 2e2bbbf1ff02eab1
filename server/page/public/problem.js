/** What went wrong, as a person reads it: what, why, and what to do. */
import { make, part } from './dom.js'

/** A failure with words for the person before the page; of the service as of the page itself. */
export class Problem extends Error {
  /** @param {{ title: string, detail: string, fix?: string, code?: string, requestId?: string, retryAfter?: string | null }} said */
  constructor(said) {
    super(said.detail)
    this.said = said
  }
}

const place = part('problem', HTMLDivElement)

/** @param {unknown} error */
export function showProblem(error) {
  const said =
    error instanceof Problem
      ? error.said
      : { title: 'The page failed', detail: String(error), fix: 'Load the page again; if it persists, report it.' }
  const { title, detail, fix, code, requestId, retryAfter } = said
  const marks = [code, requestId && `request ${requestId}`].filter(Boolean).join(' · ')
  place.replaceChildren(
    make('h2', {}, title),
    make('p', {}, detail),
    ...(fix ? [make('p', {}, fix)] : []),
    ...(retryAfter ? [make('p', {}, `There should be room in ${retryAfter} s.`)] : []),
    ...(marks ? [make('small', {}, marks)] : []),
  )
  place.hidden = false
  if (!(error instanceof Problem)) console.error(error)
}

export function hideProblem() {
  place.hidden = true
  place.replaceChildren()
}
