// Rows of the report's table, and the arithmetic behind them.

/** The middle value, or the mean of the two. */
export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** A number as a person reads it. */
export const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(3))

/** One line of the table: what was measured on each side, how they compare, and what is wanted. */
export function row(name, { ours, reference, unit, ratio, goal, rounds, note }) {
  const versus = reference === undefined ? '' : ` against ${digits(reference)} ${unit}`
  const times = ratio === undefined ? '' : `, ratio ${ratio.toFixed(2)}`
  return {
    name,
    ours,
    reference,
    unit,
    ratio,
    goal,
    rounds,
    note,
    summary: `${digits(ours)} ${unit}${versus}${times}${note ? ` (${note})` : ''}`,
  }
}
