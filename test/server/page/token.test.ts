/** The page of a service that wants a token, and of one that is not ready yet. */
import type { Page } from 'puppeteer-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { without } from '../../support/without.js'
import { asking, barriers, findWords, openExample, screenshot, textOf, type Visit, visit } from './browser.js'

const TOKEN = 'right-and-long-enough'

describe.skipIf(without('chromium'))('the page of a service with tokens', () => {
  let tour: Visit
  let page: Page
  beforeAll(async () => {
    tour = await visit({ tokens: [TOKEN] })
    page = await tour.open()
  })
  afterAll(() => tour.close())

  const answer = async (token: string) => {
    await page.locator('#token').fill(token)
    await page.keyboard.press('Enter')
  }

  it('asks for one, once, and keeps it in memory only', async () => {
    await openExample(page)
    await page.locator('#words').fill('cup')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#token-dialog[open]')
    expect(await barriers(page)).toEqual([])
    await screenshot(page, 'desktop-light-token')
    await answer('wrong')
    await page.waitForFunction(() => document.querySelector('#token-text')?.textContent?.includes('does not know'))
    await asking(page, 'v1/segment', () => answer(TOKEN))
    expect(await textOf(page, '#results-title')).toMatch(/^\d found$/)

    await findWords(page, 'dog')
    expect(await page.$('#token-dialog[open]')).toBeNull()
    expect(await textOf(page, '#listing')).toContain('Bearer $SAM3_TOKEN')
    const places = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]),
    )
    expect(places + (await page.content())).not.toContain(TOKEN)
    expect(await page.$eval('#token', (input) => (input as HTMLInputElement).value)).toBe('')

    await page.reload()
    await openExample(page)
    await page.locator('#words').fill('cup')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#token-dialog[open]')
  })

  it('says what is missing to one who has none', async () => {
    await page.click('#token-cancel')
    await page.waitForSelector('#problem:not([hidden])')
    expect(await textOf(page, '#problem')).toMatch(/Unauthorized[\s\S]*Authorization: Bearer/)
  })

  it('says that the model is being loaded, and when it is there', async () => {
    let isReady = false
    await page.setRequestInterception(true)
    page.on('request', (request) => {
      if (request.url().endsWith('/readyz') && !isReady) void request.respond({ status: 503, body: '{}' })
      else void request.continue()
    })
    await page.reload()
    await page.waitForSelector('#model.waits')
    expect(await textOf(page, '#model-name')).toBe('Loading Demo model…')
    isReady = true
    await page.waitForSelector('#model:not(.waits)')
    expect(await textOf(page, '#model-name')).toBe('Demo model')
  })
})
