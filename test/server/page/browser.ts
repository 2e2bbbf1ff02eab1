/** The page as a person has it: a service with the demo model, and Chromium before it. */
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import axe from 'axe-core'
import { type Browser, launch, type Page, type Viewport } from 'puppeteer-core'
import { type ServeOptions, type StartedServer, startServer } from '../../../server/index.js'
import { repositoryRoot } from '../../support/paths.js'
import { here } from '../../support/where.js'

/** Where screenshots go, for people to look at. */
const SCREENS = join(repositoryRoot, 'build', 'page')

export const DESKTOP: Viewport = { width: 1440, height: 900 }
export const PHONE: Viewport = { width: 390, height: 844, deviceScaleFactor: 2, isMobile: true, hasTouch: true }

/** Of the PATH, which set-up has completed. */
function chromium(): string {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const file = join(folder, 'chromium')
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // not in this folder
    }
  }
  throw new Error('There is no chromium. Run `npm run setup chromium`, or the tests `-- --without chromium`.')
}

/** The service, the browser, and what the browser asked for. */
export interface Visit {
  server: StartedServer
  browser: Browser
  /** A folder that the browser saves files in. */
  downloads: string
  /** The address of every request of every page. */
  asked: string[]
  /** What pages complained of. */
  complaints: string[]
  /** The page, opened anew. */
  open(viewport?: Viewport): Promise<Page>
  close(): Promise<void>
}

export async function visit(options: ServeOptions = {}): Promise<Visit> {
  const downloads = mkdtempSync(join(tmpdir(), 'sam3-page-'))
  const { device, dtype } = here as Pick<ServeOptions, 'device' | 'dtype'>
  const [server, browser] = await Promise.all([
    startServer({ model: 'demo', device, dtype, port: 0, logLevel: 'silent', warmup: false, ...options }),
    // Root may not have the sandbox, and the only page is our own.
    launch({
      executablePath: chromium(),
      downloadBehavior: { policy: 'allow', downloadPath: downloads },
      args: [
        '--no-sandbox',
        '--disable-dev-shm-usage',
        '--disable-gpu',
        // A name of somebody else's that leads to this machine.
        '--host-resolver-rules=MAP evil.example 127.0.0.1',
      ],
    }),
  ])
  await server.ready
  const asked: string[] = []
  const complaints: string[] = []
  const open = async (viewport = DESKTOP) => {
    const page = await browser.newPage()
    page.setDefaultTimeout(30_000)
    page.on('request', (request) => asked.push(request.url()))
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('console', (message) => {
      // A status that is no success is an answer; the page says what it means.
      if (message.type() === 'error' && !/status of (401|404|413)/.test(message.text())) complaints.push(message.text())
    })
    await page.setViewport(viewport)
    await page.goto(server.address)
    await page.waitForSelector('#model:not(.waits)')
    return page
  }
  const close = async () => {
    await browser.close()
    await server.close()
    rmSync(downloads, { recursive: true })
  }
  return { server, browser, downloads, asked, complaints, open, close }
}

/** Does something that makes the page ask an endpoint, and waits until it shows the answer. */
export async function asking(page: Page, endpoint: string, act: () => Promise<unknown>): Promise<void> {
  const answered = page.waitForResponse(
    (response) => response.url().endsWith(endpoint) && response.request().method() === 'POST',
  )
  await Promise.all([answered, act()])
  await page.waitForSelector('#progress', { hidden: true })
}

/** The page with the example. */
export async function openExample(page: Page): Promise<void> {
  await page.click('#example')
  await page.waitForSelector('#frame', { visible: true })
}

/** Types words in place of others, and finds them. */
export async function findWords(page: Page, words: string): Promise<void> {
  await page.locator('#words').fill(words)
  await asking(page, 'v1/segment', () => page.keyboard.press('Enter'))
}

/** Where a pixel of the picture is on the screen. A picture that does not show has no place: that throws. */
export async function onScreen(page: Page, [x, y]: readonly [number, number]): Promise<[number, number]> {
  return page.$eval(
    '#frame',
    (frame, x, y) => {
      if ((frame as HTMLElement).hidden) throw new Error('No picture is open yet.')
      frame.scrollIntoView({ block: 'nearest' })
      const { left, top, width, height } = frame.getBoundingClientRect()
      const canvas = frame.querySelector('canvas')!
      return [left + (x / canvas.width) * width, top + (y / canvas.height) * height]
    },
    x,
    y,
  )
}

/** How many of the drawn masks cover a pixel of the picture. */
export function masksAt(page: Page, [x, y]: readonly [number, number]): Promise<number> {
  return page.$$eval(
    '#shapes .line',
    (paths, x, y) =>
      (paths as unknown as SVGPathElement[]).filter((path) => path.isPointInFill(new DOMPoint(x, y))).length,
    x,
    y,
  )
}

/** What an element says, shown or not. */
export const textOf = (page: Page, selector: string): Promise<string> =>
  page.$eval(selector, (element) => element.textContent ?? '')

/** What a check by axe-core finds against the page as it is. */
export async function barriers(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run({
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'],
    }),
  )
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  )
}

/** A picture of the page, for people. */
export async function screenshot(page: Page, name: string, fullPage = false): Promise<void> {
  mkdirSync(SCREENS, { recursive: true })
  await page.screenshot({ path: join(SCREENS, `${name}.png`), fullPage })
}
