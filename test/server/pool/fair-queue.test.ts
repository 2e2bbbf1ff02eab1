import { describe, expect, it } from 'vitest'
import { FairQueue, PRIORITIES, type Priority } from '../../../server/pool/fair-queue.js'
import { seededRandom } from '../../support/random.js'

interface Item {
  client: string
  priority: Priority
  cost: number
  name: string
}

const item = (client: string, name = client, more: Partial<Item> = {}): Item => ({
  client,
  priority: 'normal',
  cost: 1,
  name,
  ...more,
})

function queueOf(...items: Item[]): FairQueue<Item> {
  const queue = new FairQueue<Item>()
  for (const one of items) queue.push(one)
  return queue
}

function drain(queue: FairQueue<Item>, most = Number.POSITIVE_INFINITY): string[] {
  const names: string[] = []
  while (names.length < most) {
    const taken = queue.take(() => true)
    if (!taken) break
    names.push(taken.name)
  }
  return names
}

describe('FairQueue', () => {
  it('keeps the order of one client', () => {
    expect(drain(queueOf(item('a', '1'), item('a', '2'), item('a', '3')))).toEqual(['1', '2', '3'])
  })

  it('serves a late client next, whatever another one has piled up', () => {
    const queue = queueOf(...Array.from({ length: 200 }, () => item('greedy')))
    drain(queue, 50)
    queue.push(item('modest'))
    expect(drain(queue, 2)).toContain('modest')
    expect(queue.size).toBe(149)
  })

  it('gives clients turns', () => {
    const queue = queueOf(...['a', 'a', 'a', 'b', 'b', 'c'].map((client) => item(client)))
    expect(drain(queue)).toEqual(['a', 'b', 'c', 'a', 'b', 'a'])
  })

  it('counts what requests cost, not how many there are', () => {
    const large = Array.from({ length: 4 }, () => item('large', 'L', { cost: 8 }))
    const small = Array.from({ length: 40 }, () => item('small', 's'))
    const order = drain(queueOf(...large, ...small)).join('')
    // Eight small ones for every large one, but for what the first turn is worth.
    expect(order).toMatch(/^Ls{8}Ls{8}Ls{8}Ls{16}$/)
  })

  it('takes high before normal before low', () => {
    const queue = queueOf(
      ...[...PRIORITIES, ...PRIORITIES].reverse().map((priority) => item('a', priority, { priority })),
    )
    expect(drain(queue)).toEqual(['high', 'high', 'normal', 'normal', 'low', 'low'])
  })

  it('passes over what does not fit, and keeps it', () => {
    const queue = queueOf(item('a', 'elsewhere'), item('a', 'here'), item('b', 'elsewhere'))
    const here = (one: Item) => one.name === 'here'
    expect(queue.take(here)?.name).toBe('here')
    expect(queue.take(here)).toBeUndefined()
    expect(drain(queue)).toEqual(['elsewhere', 'elsewhere'])
  })

  it('lets items leave, and come back to the front', () => {
    const [first, second, third] = [item('a', '1'), item('a', '2'), item('a', '3')]
    const queue = queueOf(first, second, third)
    expect(queue.remove(second)).toBe(true)
    expect(queue.remove(second)).toBe(false)
    const taken = queue.take(() => true)!
    queue.putBack(taken)
    expect([...queue].map(({ name }) => name)).toEqual(['1', '3'])
    expect(drain(queue)).toEqual(['1', '3'])
    expect(queue.size).toBe(0)
  })

  it('is fair to within one request at any time, whoever comes and goes', () => {
    const random = seededRandom(11)
    const clients = ['a', 'b', 'c', 'd', 'e']
    const queue = new FairQueue<Item>()
    const given = new Map(clients.map((client) => [client, 0]))
    const waiting = new Map(clients.map((client) => [client, 0]))
    // All of them always have something waiting, but never the same number.
    for (let step = 0; step < 5000; step++) {
      for (const client of clients) {
        while (waiting.get(client)! === 0 || (waiting.get(client)! < 30 && random() < 0.3)) {
          queue.push(item(client, client, { cost: 1 + Math.floor(random() * 8) }))
          waiting.set(client, waiting.get(client)! + 1)
        }
      }
      const taken = queue.take(() => true)!
      given.set(taken.client, given.get(taken.client)! + taken.cost)
      waiting.set(taken.client, waiting.get(taken.client)! - 1)
      const costs = [...given.values()]
      expect(Math.max(...costs) - Math.min(...costs)).toBeLessThanOrEqual(2 * 8)
    }
  })

  it('holds no grudge: who was alone owes nothing to those who come later', () => {
    const queue = new FairQueue<Item>()
    for (let n = 0; n < 100; n++) {
      queue.push(item('early'))
      drain(queue)
    }
    for (let n = 0; n < 5; n++) queue.push(item('late'))
    queue.push(item('early'))
    expect(drain(queue, 2)).toContain('early')
  })
})
