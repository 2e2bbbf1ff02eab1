/** docs/architecture.md names rooms and files that are there. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

const read = (file: string) => readFileSync(path.join(repositoryRoot, file), 'utf8')
const page = read('docs/architecture.md')

it('every file that it names exists', () => {
  const named = [...page.matchAll(/`((?:lib|binding|native|scripts|test|docs|bench)\/[\w./-]+)`/g)].map(
    ([, file]) => file!,
  )
  expect(named.length).toBeGreaterThan(80)
  expect(named.filter((file) => !existsSync(path.join(repositoryRoot, file)))).toEqual([])
})

it('its tables have all rooms of rooms.json, no others, and no room below one that it uses', () => {
  const houses: Record<string, string[][]> = JSON.parse(read('scripts/support/rooms.json'))
  for (const [language, floors] of Object.entries(houses)) {
    const [, table] = page.split(`| room (${language}) |`)
    const rooms = [...table!.split('\n\n')[0]!.matchAll(/^\| `([\w/]+)` \|/gm)].map(([, room]) => room!)
    const floorOf = (room: string) => floors.findIndex((floor) => floor.includes(room))
    expect(rooms.toSorted()).toEqual(floors.flat().toSorted())
    expect(rooms.map(floorOf)).toEqual(rooms.map(floorOf).toSorted((a, b) => b - a))
  }
})
