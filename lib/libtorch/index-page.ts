/** Reads a Python package index: its simple API, as JSON (PEP 691) or as HTML (PEP 503). */
import { decode } from 'html-entities'
import { HttpError } from '../download/fetch.js'
import type { Line } from './line.js'

/** A file of a project. */
export interface IndexFile {
  name: string
  url: string
  /** Hexadecimal; undefined where the index does not say. */
  sha256: string | undefined
  /** Bytes, where the index says. */
  size: number | undefined
  /** Whether `<url>.metadata` holds the file's metadata (PEP 658). */
  metadata: boolean
}

const ACCEPT = 'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.1'

interface JsonFile {
  filename: string
  url: string
  hashes?: Record<string, string>
  size?: number
  yanked?: boolean | string
  'core-metadata'?: unknown
}

/** The name of a project as indexes write it (PEP 503). */
export function normaliseName(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, '-')
}

function fromJson(text: string, page: string): IndexFile[] {
  const { files } = JSON.parse(text) as { files: JsonFile[] }
  return files
    .filter(({ yanked }) => !yanked)
    .map((file) => ({
      name: file.filename,
      url: new URL(file.url, page).href,
      sha256: file.hashes?.sha256,
      size: file.size,
      metadata: Boolean(file['core-metadata']),
    }))
}

/** The anchors of a page. Their attributes are all that there is to read, so that no HTML parser is needed. */
function fromHtml(text: string, page: string): IndexFile[] {
  return [...text.matchAll(/<a\s([^>]*)>([^<]*)<\/a>/gi)].flatMap(([, attributes = '', label = '']) => {
    const attribute = (name: string) => {
      const value = new RegExp(`(?:^|\\s)${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`, 'i').exec(attributes)
      return value && decode(value[1] ?? value[2] ?? '')
    }
    const href = attribute('href')
    if (!href || attribute('data-yanked') !== null) return []
    const url = new URL(href, page)
    const sha256 = /sha256=([0-9a-f]{64})/.exec(url.hash)?.[1]
    url.hash = ''
    const metadata = attribute('data-core-metadata') ?? attribute('data-dist-info-metadata')
    return [
      {
        name: decode(label.trim()),
        url: url.href,
        sha256,
        size: undefined,
        metadata: metadata !== null && metadata !== 'false',
      },
    ]
  })
}

/** The files of a project; none where the index does not have it. */
export async function readProject(index: string, name: string, line: Line): Promise<IndexFile[]> {
  const page = `${index}/${normaliseName(name)}/`
  try {
    const { text, type, url } = await line.text(page, ACCEPT)
    return type.includes('json') ? fromJson(text, url) : fromHtml(text, url)
  } catch (error) {
    if (error instanceof HttpError && (error.status === 404 || error.status === 403)) return []
    throw error
  }
}
