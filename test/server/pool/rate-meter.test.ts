import { expect, it } from 'vitest'
import { RateMeter } from '../../../server/pool/rate-meter.js'

/** Batches of `size` that take `ms` each, with a pause between them. */
function run(meter: RateMeter, batches: number, size: number, ms: number, pause = 0): void {
  let now = 0
  for (let batch = 0; batch < batches; batch++) {
    for (let n = 0; n < size; n++) meter.begin(now)
    now += ms
    for (let n = 0; n < size; n++) meter.end(now)
    now += pause
  }
}

it('tells the seconds that work takes at the rate of late', () => {
  const meter = new RateMeter()
  expect(meter.secondsFor(1000)).toBe(1)
  run(meter, 100, 1, 500)
  expect(meter.secondsFor(20)).toBe(10)
  expect(meter.secondsFor(1)).toBe(1)
  expect(meter.secondsFor(10_000)).toBe(60)
})

it('counts batches as what they are', () => {
  const meter = new RateMeter()
  run(meter, 100, 8, 800)
  // 10 a second: 200 take 20 s, give or take the weight of the newest batch.
  expect(meter.secondsFor(200)).toBeGreaterThanOrEqual(12)
  expect(meter.secondsFor(200)).toBeLessThanOrEqual(30)
})

it('does not count the time in which there is nothing to do', () => {
  const meter = new RateMeter()
  run(meter, 100, 1, 500, 60_000)
  expect(meter.secondsFor(20)).toBe(10)
})
