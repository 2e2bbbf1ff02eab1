/** The page at `GET /` in a real browser: everything that a person does there, with the demo model. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Page } from 'puppeteer-core'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { inside, scene } from '../../support/demo.js'
import { repositoryRoot } from '../../support/paths.js'
import { without } from '../../support/without.js'
import {
  asking,
  barriers,
  findWords,
  masksAt,
  onScreen,
  openExample,
  PHONE,
  screenshot,
  textOf,
  type Visit,
  visit,
} from './browser.js'

const cups = scene.objects.filter(({ shows }) => shows === 'cup')
const middles = cups.map(({ mask }) => inside(mask))
const [middle] = middles as [[number, number]]
const coffee = `${repositoryRoot}/examples/coffee.jpg`

describe.skipIf(without('chromium'))('the page', () => {
  let tour: Visit
  let page: Page
  beforeAll(async () => {
    tour = await visit({ maxPrompts: 3 })
  })
  afterAll(() => tour.close())
  beforeEach(async () => {
    page = await tour.open()
    return async () => {
      await page.close()
    }
  })

  const rows = () => page.$$eval('#list b', (names) => names.map((name) => name.textContent))
  const problem = () => textOf(page, '#problem:not([hidden])')
  const click = async (point: readonly [number, number]) => page.mouse.click(...(await onScreen(page, point)))
  /** The file that a button saves. */
  const saved = async (button: string, name: string): Promise<string> => {
    await page.click(button)
    await expect.poll(() => readdirSync(tour.downloads), { timeout: 30_000 }).toContain(name)
    return join(tour.downloads, name)
  }

  describe('words', () => {
    it('outlines and lists all of each', async () => {
      await openExample(page)
      await findWords(page, 'cup, dog')
      expect(await rows()).toEqual([...cups.map(() => 'cup'), 'dog', 'dog'])
      for (const point of middles) expect(await masksAt(page, point)).toBe(1)
      expect(await textOf(page, '#results-title')).toBe('4 found')
      expect(await textOf(page, '#state')).toMatch(/^4 found in \d+\.\d\d s\.$/)
      expect(await page.$$eval('#tags .tag', (tags) => tags.length)).toBe(4)

      // One is put aside, then all boxes and labels.
      await page.click('#list input')
      expect(await page.$$eval('#shapes g', (groups) => groups.length)).toBe(3)
      await page.click('.show [name="boxes"]')
      await page.click('.show [name="labels"]')
      expect(await page.$$eval('#shapes .box, #tags .tag', (drawn) => drawn.length)).toBe(0)
    })

    it('are offered, and those that the demo model does not know are named', async () => {
      await openExample(page)
      await asking(page, 'v1/segment', () => page.locator('#suggestions ::-p-text(red car)').click())
      expect(await rows()).toEqual(['red car'])
      await findWords(page, 'stethoscope')
      const [missing, warning] = await page.$$eval('#notes li', (notes) => notes.map(({ textContent }) => textContent))
      expect(missing).toBe('No “stethoscope” with a score of 0.5 or more.')
      expect(warning).toContain('stethoscope')
      await page.click('#model')
      expect(await textOf(page, '#about-model')).toContain('demo model')
      expect(await page.$$eval('#known button', (words) => words.length)).toBe(100)
    })

    it('can be an example in place of a name', async () => {
      await openExample(page)
      const [x0, y0, x1, y1] = cups[0]!.mask.box
      await asking(page, 'v1/segment', async () => {
        await page.mouse.move(...(await onScreen(page, [x0, y0])))
        await page.mouse.down()
        await page.mouse.move(...(await onScreen(page, [x1, y1])), { steps: 3 })
        await page.mouse.up()
      })
      expect(await masksAt(page, middle)).toBeGreaterThan(0)
      expect(await page.$$eval('#shapes .prompt-box', (boxes) => boxes.length)).toBe(1)
      await page.click('#undo')
      expect(await page.$('#shapes g')).toBeNull()
    })
  })

  it('clicks pick one thing, and refine it', async () => {
    await openExample(page)
    await page.click('[value="pick"]')
    await asking(page, 'v1/predict', () => click(middle))
    expect(await rows()).toEqual(['Mask 1', 'Mask 2', 'Mask 3'])
    expect(await masksAt(page, middle)).toBe(1)
    const first = await page.$eval('#shapes .line', (path) => path.getAttribute('d'))
    await page.click('#list li:nth-child(2) input')
    expect(await page.$eval('#shapes .line', (path) => path.getAttribute('d'))).not.toBe(first)

    await page.click('[value="remove"]')
    const outside = [cups[0]!.mask.box[2] + 20, middle[1]] as const
    await asking(page, 'v1/predict', () => click(outside))
    expect(await rows()).toEqual(['Mask'])
    expect(await masksAt(page, outside)).toBe(0)
    expect(await page.$$eval('.point', (points) => points.map(({ textContent }) => textContent))).toEqual(['+', '−'])
    expect(await textOf(page, '#listing')).toContain('maskInput=<mask.json')

    await asking(page, 'v1/predict', () => page.click('#undo'))
    expect(await page.$eval('#shapes .line', (path) => path.getAttribute('d'))).toBe(first)
    await page.click('#clear')
    expect(await page.$('#shapes g')).toBeNull()
  })

  it('the keyboard alone does all of it', async () => {
    const focused = () => page.evaluate(() => document.activeElement?.id)
    const tabTo = async (id: string) => {
      for (let step = 0; step < 40 && (await focused()) !== id; step++) await page.keyboard.press('Tab')
      expect(await focused()).toBe(id)
    }
    await tabTo('example')
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => document.activeElement?.id === 'words')
    await page.keyboard.type('cup')
    await asking(page, 'v1/segment', () => page.keyboard.press('Enter'))
    expect(await rows()).toContain('cup')

    await page.focus('[value="find"]')
    await page.keyboard.press('ArrowRight')
    await page.focus('#frame')
    const [x, y] = middle
    const press = async (key: 'ArrowLeft' | 'ArrowUp' | 'ArrowRight' | 'ArrowDown', times: number) => {
      for (let step = 0; step < times; step++) await page.keyboard.press(key)
    }
    const step = Math.round(672 / 50)
    await press(x < 336 ? 'ArrowLeft' : 'ArrowRight', Math.round(Math.abs(x - 336) / step))
    await press(y < 336 ? 'ArrowUp' : 'ArrowDown', Math.round(Math.abs(y - 336) / step))
    expect(await textOf(page, '#state')).toMatch(/^Cross-hair at \d+, \d+\.$/)
    await asking(page, 'v1/predict', () => page.keyboard.press('Enter'))
    expect(await masksAt(page, middle)).toBe(1)

    await page.keyboard.press('-')
    expect(await page.$eval('[value="remove"]', (input) => (input as HTMLInputElement).checked)).toBe(true)
    await page.focus('[value="remove"]')
    await page.keyboard.press('ArrowRight')
    await page.focus('#frame')
    await page.keyboard.press('Enter')
    await press('ArrowRight', 8)
    await press('ArrowDown', 8)
    await asking(page, 'v1/predict', () => page.keyboard.press('Enter'))
    expect(await page.$$eval('#shapes .prompt-box', (boxes) => boxes.length)).toBe(1)
  })

  describe('a picture', () => {
    const named = (name: string) => page.waitForSelector(`#frame[aria-label^="Picture ${name}"]`)

    it('is dropped, pasted or chosen', async () => {
      const { width: x, height: y } = { width: 400, height: 400 }
      const client = await page.createCDPSession()
      const data = { items: [], files: [coffee], dragOperationsMask: 1 }
      for (const type of ['dragEnter', 'dragOver'] as const)
        await client.send('Input.dispatchDragEvent', { type, x, y, data })
      expect(await page.$eval('html', ({ className }) => className)).toBe('dropping')
      await client.send('Input.dispatchDragEvent', { type: 'drop', x, y, data })
      await named('coffee.jpg, 600 by 400')
      await findWords(page, 'cup')

      await page.evaluate(async () => {
        const answer = await fetch('page/example.jpg')
        const clipboardData = new DataTransfer()
        clipboardData.items.add(new File([await answer.blob()], 'pasted.jpg', { type: 'image/jpeg' }))
        // The words of the picture before hold for this one.
        document.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }))
      })
      await named('pasted.jpg, 672 by 672')
      await page.waitForSelector('#list li')
      expect(await rows()).toEqual(cups.map(() => 'cup'))

      const [chooser] = await Promise.all([page.waitForFileChooser(), page.click('#other')])
      await chooser.accept([coffee])
      await named('coffee.jpg')
    })

    it('that is none is refused in words, and what was there stays', async () => {
      await openExample(page)
      const [chooser] = await Promise.all([page.waitForFileChooser(), page.click('#other')])
      await chooser.accept([`${repositoryRoot}/package.json`])
      await page.waitForSelector('#problem:not([hidden])')
      expect(await problem()).toMatch(/cannot be shown[\s\S]*package\.json is no picture[\s\S]*Take a JPEG/)
      await findWords(page, 'cup')
      expect(await rows()).toHaveLength(cups.length)
      expect(await page.$('#problem:not([hidden])')).toBeNull()
    })
  })

  describe('what goes wrong', () => {
    it('is said with its cause and what to do, as the service says it', async () => {
      await openExample(page)
      const refused = page.waitForResponse((response) => response.status() === 413)
      await findWords(page, 'cup, dog, cat, car')
      const said = (await (await refused).json()) as Record<'title' | 'detail' | 'fix' | 'code' | 'requestId', string>
      const shown = await problem()
      for (const part of [said.title, said.detail, said.fix, said.code, said.requestId]) expect(shown).toContain(part)
      expect(await barriers(page)).toEqual([])
    })

    it('is said where the service does not answer', async () => {
      await openExample(page)
      await page.setOfflineMode(true)
      await page.locator('#words').fill('cup')
      await page.keyboard.press('Enter')
      await page.waitForSelector('#problem:not([hidden])')
      expect(await problem()).toMatch(/No answer[\s\S]*try again/)
      await page.setOfflineMode(false)
      await findWords(page, 'cup')
      expect(await rows()).toHaveLength(cups.length)
    })

    it('is mended where the service has forgotten the picture', async () => {
      await openExample(page)
      const kept = page.waitForResponse((response) => response.url().endsWith('v1/images'))
      await findWords(page, 'cup')
      const { id } = (await (await kept).json()) as { id: string }
      await page.evaluate((id) => fetch(`v1/images/${id}`, { method: 'DELETE' }), id)
      await findWords(page, 'dog')
      await page.waitForFunction(() => document.querySelector('#list b')?.textContent === 'dog')
    })

    it('ends where a person cancels: the request, too', async () => {
      await openExample(page)
      await page.setRequestInterception(true)
      page.on('request', (request) => {
        // Never answered.
        if (!request.url().endsWith('v1/images')) void request.continue()
      })
      const ended = new Promise<string | undefined>((resolve) => {
        page.on('requestfailed', (request) => resolve(request.failure()?.errorText))
      })
      await page.locator('#words').fill('cup')
      await page.keyboard.press('Enter')
      await page.locator('#cancel').click()
      expect(await ended).toBe('net::ERR_ABORTED')
      await page.waitForSelector('#cancel', { hidden: true })
      expect(await textOf(page, '#state')).toBe('Cancelled.')
    })
  })

  it('results are saved as a picture and as JSON', async () => {
    await openExample(page)
    await findWords(page, 'cup')
    const picture = await sharp(await saved('#save-png', 'scene-masks.png'))
      .raw()
      .toBuffer({ resolveWithObject: true })
    expect(picture.info).toMatchObject({ width: 672, height: 672 })
    const before = await sharp(scene.file).ensureAlpha().raw().toBuffer()
    const differs = ([x, y]: readonly [number, number]) => {
      const at = (Math.floor(y) * 672 + Math.floor(x)) * 4
      return Math.max(...[0, 1, 2].map((channel) => Math.abs(picture.data[at + channel]! - before[at + channel]!)))
    }
    expect(differs(middle)).toBeGreaterThan(12)
    expect(differs([2, 2])).toBeLessThan(6)
    const answer = JSON.parse(readFileSync(await saved('#save-json', 'scene.json'), 'utf8')) as {
      images: [{ results: [{ instances: { polygons: unknown[] }[] }] }]
    }
    expect(answer.images[0].results[0].instances).toHaveLength(cups.length)
  })

  describe.each(['curl', 'typescript'])('the request as %s', (language) => {
    it.skipIf(language === 'curl' && without('curl'))('does what the page did', () => doesTheSame(language))
  })
  const doesTheSame = async (language: string) => {
    await openExample(page)
    await findWords(page, 'cup, it\'s "that"')
    const scores = await page.$$eval('#list .score', (all) => all.map(({ textContent }) => textContent))
    await page.click(`[value="${language}"]`)
    const code = await textOf(page, '#listing')
    const cwd = dirname(scene.file)
    const run = promisify(execFile)
    let found: number[]
    if (language === 'curl') {
      const { stdout } = await run('sh', ['-c', code], { cwd })
      const { images } = JSON.parse(stdout) as { images: { results: { instances: { score: number }[] }[] }[] }
      found = images[0]!.results.flatMap(({ instances }) => instances.map(({ score }) => score))
    } else {
      const script = join(tour.downloads, 'request.mjs')
      writeFileSync(script, code)
      const { stdout } = await run(process.execPath, ['--no-warnings', script], { cwd })
      found = [...stdout.matchAll(/^cup ([\d.]+)/gm)].map(([, score]) => Number(score))
    }
    expect(found.map((score) => score.toFixed(2))).toEqual(scores)
  }

  it('can be used by everyone, in light and dark, on a desk and on a phone', async () => {
    for (const size of ['desktop', 'phone']) {
      if (size === 'phone') await page.setViewport(PHONE)
      for (const scheme of ['light', 'dark']) {
        await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
        await page.reload()
        await page.waitForSelector('#model:not(.waits)')
        await screenshot(page, `${size}-${scheme}-empty`)
        expect(await barriers(page)).toEqual([])
        await openExample(page)
        await findWords(page, 'dog, cup, red car')
        expect(await barriers(page)).toEqual([])
        const [room, wide] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth])
        expect(wide).toBeLessThanOrEqual(room!)
        await screenshot(page, `${size}-${scheme}-find`, size === 'phone')
        await page.click('[value="pick"]')
        await asking(page, 'v1/predict', () => click(middle))
        expect(await barriers(page)).toEqual([])
        await screenshot(page, `${size}-${scheme}-pick`, size === 'phone')
      }
    }
  })

  it('asks nobody but its service, and its rules of content hold', () => {
    expect(new Set(tour.asked.map((address) => new URL(address).origin))).toEqual(new Set([tour.server.address]))
    expect(tour.complaints.filter((text) => !text.includes('ERR_INTERNET_DISCONNECTED'))).toEqual([])
  })
})
