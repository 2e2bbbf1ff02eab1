/** Turns the words of a command line into values, or says what is wrong with them. */
import { type Command, InvalidArgumentError } from 'commander'
import type { Box, Point } from '../../geometry/types.js'

function numbers(text: string, count: number, form: string): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (values.length !== count || !values.every(Number.isFinite)) throw new InvalidArgumentError(`Write it as ${form}.`)
  return values
}

/** `10,20,200,300` */
export function parseBox(text: string, previous: Box[] = []): Box[] {
  return [...previous, numbers(text, 4, 'x0,y0,x1,y1: left, top, right, bottom') as unknown as Box]
}

/** `120,80` */
export function parsePoint(text: string, previous: Point[] = []): Point[] {
  return [...previous, numbers(text, 2, 'x,y') as unknown as Point]
}

/** An option that can be given several times. */
export function collect(text: string, previous: string[] = []): string[] {
  return [...previous, text]
}

/** A phrase; the option can be given several times. */
export function parsePhrase(text: string, previous: string[] = []): string[] {
  if (text.trim() === '') throw new InvalidArgumentError('Write a noun phrase, such as "yellow school bus".')
  return collect(text, previous)
}

/** Refuses an option as the value of the one before it: `--text --json` lacks the text, and is not about `--json`. */
export function refuseSwallowedOptions(command: Command): void {
  const isOption = (value: unknown) =>
    typeof value === 'string' &&
    (value === '--help' || command.options.some(({ long, short }) => value === long || value === short))
  for (const option of command.options) {
    const values = [command.getOptionValue(option.attributeName())].flat()
    const swallowed = option.required ? values.find(isOption) : undefined
    if (swallowed !== undefined)
      command.error(`error: option '${option.flags}' has no value: ${swallowed} is an option`)
  }
}

/** A number between two limits. */
export function parseNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const [value] = numbers(text, 1, 'a number') as [number]
    if (value < minimum || value > maximum) throw new InvalidArgumentError(`It must be from ${minimum} to ${maximum}.`)
    return value
  }
}

/** A whole number of at least 1. */
export function parseCount(text: string): number {
  const [value] = numbers(text, 1, 'a whole number') as [number]
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number of at least 1.')
  return value
}
