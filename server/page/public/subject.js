/**
 * What a picture and a video have in common.
 *
 * @typedef {import('./find-mode.js').FindMode | import('./pick-mode.js').PickMode} Mode
 * @typedef {import('./shapes.js').Shape & { isShown: boolean }} ShownShape
 *
 * @typedef {object} Outcome What came back for one way of asking.
 * @property {readonly ShownShape[]} shapes
 * @property {readonly string[]} notes
 * @property {unknown} answer as the service gave it
 * @property {(language: 'curl' | 'typescript') => string} listing the request as code
 * @property {string} [mask] the JSON of the mask that was refined
 *
 * @typedef {object} Subject
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {CanvasImageSource} pixels
 * @property {boolean} isExample
 * @property {(mode: Mode, signal: AbortSignal) => Promise<void>} ask
 * @property {(mode: Mode) => Outcome | undefined} outcome
 * @property {(mode: Mode) => void} forget gives up what was asked this way
 * @property {(mode: Mode, indices: readonly number[]) => void} show only these shapes
 * @property {() => void} close
 */
export {}
