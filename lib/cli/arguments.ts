/** Turns the words of a command line into values, or says what is wrong with them. */
import { InvalidArgumentError } from 'commander'
import type { Box, Point } from '../prompt/types.js'

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
