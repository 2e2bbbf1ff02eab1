/** Lists of numbers as callers have them: plain arrays, or typed arrays such as those of other models' outputs. */
import { types } from 'node:util'
import type { NumberArray } from './types.js'

function isTyped(value: unknown): value is NumberArray {
  return types.isTypedArray(value) && !types.isBigInt64Array(value) && !types.isBigUint64Array(value)
}

/** The numbers of a plain or typed array, or undefined where it is none or holds anything else, or nothing at a place. */
export function toNumbers(value: unknown): number[] | undefined {
  if (isTyped(value)) return Array.from(value)
  if (!Array.isArray(value)) return undefined
  const items: unknown[] = Array.from(value) // places without a value are undefined in it, and skipped by `every` else
  return items.every((item) => typeof item === 'number') ? (items as number[]) : undefined
}

/**
 * The rows of a list: the items of an array as they are, or a typed array cut into rows, as models give them. Undefined
 * where the value is neither, or its length is no multiple of the rows'.
 */
export function toRows(value: unknown, length: number): unknown[] | undefined {
  if (Array.isArray(value)) return Array.from(value)
  if (!isTyped(value) || value.length % length !== 0) return undefined
  const all = Array.from(value)
  return Array.from({ length: all.length / length }, (_, row) => all.slice(row * length, (row + 1) * length))
}

/** Whether a list that should hold rows is one row itself: `[x, y]` where `[[x, y]]` is meant. */
export function isOneRow(rows: readonly unknown[], length: number): boolean {
  return rows.length >= length && rows.every((item) => typeof item === 'number')
}
