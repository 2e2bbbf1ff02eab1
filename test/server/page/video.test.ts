/** The page with a video: asked on a frame, followed to its end, and seen on a timeline. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Page } from 'puppeteer-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Mask } from '../../../lib/index.js'
import { ffmpeg } from '../../support/clips.js'
import { clip, inside } from '../../support/demo.js'
import { without } from '../../support/without.js'
import { asking, barriers, masksAt, onScreen, screenshot, textOf, type Visit, visit } from './browser.js'

/** Of forty: enough to see the ball leave. */
/** So many that the ball has left on the last one. */
const FRAMES = 24
const dog = clip.objects.find(({ shows }) => shows === 'dog')!
const ball = clip.objects.find(({ shows }) => shows === 'soccer ball')!
const middleOf = (object: typeof dog, frame: number) => inside(object.masks[frame] as Mask)

describe.skipIf(without('chromium') || without('ffmpeg'))('the page with a video', () => {
  let tour: Visit
  let page: Page
  let file: string
  let session: string
  beforeAll(async () => {
    tour = await visit()
    file = join(tour.downloads, 'clip.mp4')
    const h264 = ['-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-crf', '12']
    ffmpeg('-framerate', '10', '-i', `${clip.folder}/%02d.jpg`, '-frames:v', String(FRAMES), ...h264, file)
  })
  afterAll(() => tour.close())
  beforeEach(async () => {
    page = await tour.open()
    const [chooser] = await Promise.all([page.waitForFileChooser(), page.click('#choose')])
    const started = page.waitForResponse((response) => response.url().endsWith('v1/sessions'))
    await asking(page, 'v1/sessions', () => chooser.accept([file]))
    session = ((await (await started).json()) as { id: string }).id
    return () => page.close()
  })

  const seek = async (frame: number) => {
    await page.focus('#frame-slider')
    const now = Number(await page.$eval('#frame-slider', (slider) => (slider as HTMLInputElement).value))
    const key = frame > now ? 'ArrowRight' : 'ArrowLeft'
    for (let step = 0; step < Math.abs(frame - now); step++) await page.keyboard.press(key)
    await page.waitForFunction(
      (text) => document.querySelector('#frame-number')?.textContent === text,
      {},
      `${frame + 1} / ${FRAMES}`,
    )
  }
  const find = async (words: string) => {
    await page.locator('#words').fill(words)
    await asking(page, '/prompts', () => page.keyboard.press('Enter'))
  }
  const follow = async () => {
    await page.click('#follow')
    await page.waitForFunction(() => /^Followed/.test(document.querySelector('#state')?.textContent ?? ''))
  }

  it('finds words on a frame, follows them, and shows each frame', async () => {
    await find('dog, soccer ball')
    expect(await masksAt(page, middleOf(dog, 0))).toBe(1)
    expect(await masksAt(page, middleOf(ball, 0))).toBe(1)
    await follow()
    expect(await textOf(page, '#state')).toMatch(new RegExp(`^Followed through ${FRAMES} frames in`))
    for (const frame of [8, 15, 3]) {
      await seek(frame)
      expect(await masksAt(page, middleOf(dog, frame)), `frame ${frame}`).toBe(1)
    }
    await seek(FRAMES - 1)
    expect(ball.masks[FRAMES - 1]).toBeNull()
    expect(await textOf(page, '#results-title')).toBe('1 on this frame')
    expect(await textOf(page, '#notes')).toContain('No “soccer ball” on this frame.')
    const colors = await page.$eval('#tracks', (canvas) => {
      const { width, height } = canvas as HTMLCanvasElement
      const { data } = (canvas as HTMLCanvasElement).getContext('2d')!.getImageData(0, 0, width, height)
      const at = (part: number, y: number) => data[(y * width + Math.floor(width * part)) * 4 + 3]! > 0
      return [at(0.02, 1), at(0.98, 1), at(0.02, height - 2), at(0.98, height - 2)]
    })
    expect(colors).toEqual([true, true, true, false]) // the dog stays, the ball leaves
    expect(await barriers(page)).toEqual([])
    await seek(6)
    await screenshot(page, 'desktop-light-video')
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }])
    await page.setViewport({ width: 390, height: 844 }) // a real phone would load the page again
    expect(await barriers(page)).toEqual([])
    await screenshot(page, 'phone-dark-video', true)
  })

  it('has a video of its own to try, and says what is in it', async () => {
    const fresh = await tour.open()
    await screenshot(fresh, 'desktop-light-empty')
    const names = await fresh.$$eval('#empty button', (buttons) => buttons.map((button) => button.textContent?.trim()))
    expect(names).toEqual(['Choose a file', 'Example picture', 'Example video'])
    expect(await barriers(fresh)).toEqual([])
    await asking(fresh, 'v1/sessions', () => fresh.click('#example-video'))
    const suggested = await fresh.$$eval('#suggestions button', (words) => words.map(({ textContent }) => textContent))
    expect(suggested).toEqual(['dog', 'soccer ball'])
    expect(await textOf(fresh, '#frame-number')).toBe(`1 / ${clip.objects[0]!.masks.length}`)
    for (const [at, object] of [dog, ball].entries()) {
      await asking(fresh, '/prompts', () => fresh.click(`#suggestions li:nth-child(${at + 1}) button`))
      expect(await masksAt(fresh, middleOf(object, 0)), object.shows).toBe(1)
    }
    await screenshot(fresh, 'desktop-light-example-video')
    await fresh.close()
  })

  it('follows what is clicked on, forward and backward, until it is taken back', async () => {
    await page.click('[value="pick"]')
    await seek(4)
    await asking(page, '/prompts', async () => page.mouse.click(...(await onScreen(page, middleOf(dog, 4)))))
    expect(await masksAt(page, middleOf(dog, 4))).toBe(1)
    await follow()
    for (const frame of [0, 12]) {
      await seek(frame)
      expect(await masksAt(page, middleOf(dog, frame)), `frame ${frame}`).toBe(1)
      expect(await page.$('.point')).toBeNull() // it is on the frame that was clicked
    }
    await seek(4)
    expect(await page.$$('.point')).toHaveLength(1)
    await page.click('#clear')
    expect(await page.$('#shapes g, .point')).toBeNull()
    expect(await page.$('#follow:disabled')).not.toBeNull()
  })

  it('plays, and stands still', async () => {
    await page.click('#play')
    await page.waitForFunction(() => Number((document.querySelector('#frame-slider') as HTMLInputElement).value) > 2)
    expect(await page.$eval('#play', (button) => button.ariaLabel)).toBe('Pause')
    await page.click('#play')
    await page.waitForSelector('#play[aria-label="Play"]')
  })

  it('is asked again where its session was closed meanwhile', async () => {
    await find('dog')
    await page.evaluate((id) => fetch(`v1/sessions/${id}`, { method: 'DELETE' }), session)
    await find('soccer ball')
    expect(await masksAt(page, middleOf(ball, 0))).toBe(1)
  })

  describe.each(['curl', 'typescript'])('what was asked as %s', (language) => {
    it.skipIf(language === 'curl' && without('curl'))('does the same', () => doesTheSame(language))
  })
  const doesTheSame = async (language: string) => {
    await find('dog')
    await page.click(`[value="${language}"]`)
    const code = await textOf(page, '#listing')
    const run = promisify(execFile)
    const script = join(tour.downloads, 'follow.mjs')
    writeFileSync(script, code)
    const isCurl = language === 'curl'
    const { stdout } = isCurl
      ? await run('sh', ['-c', code], { cwd: tour.downloads, maxBuffer: 1e9 })
      : await run(process.execPath, ['--no-warnings', script], { cwd: tour.downloads })
    if (isCurl) expect(stdout.match(/"type":"frame"/g)).toHaveLength(FRAMES)
    else expect(stdout.match(/^\d+ \d+ dog 0\.\d+/gm)?.length).toBeGreaterThanOrEqual(FRAMES)
  }

  it('asks nobody but its service', () => {
    const origins = new Set(tour.asked.map((address) => new URL(address).origin))
    expect(origins).toEqual(new Set([tour.server.address]))
    expect(tour.complaints).toEqual([])
  })
})
